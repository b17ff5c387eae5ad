package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newRegistryLimitsCommand() *cobra.Command {
	var project string
	var format outputFormat
	cmd := &cobra.Command{
		Use:   "limits",
		Short: "Print how many pulls you have left",
		Long: `Print your pull limit: how many pulls a window of time may have, how many are left, and
when all are possible again. A project may have a limit of its own. It costs no pull.`,
		Example: `  larder registry limits
  larder registry limits --of demo -o json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var limit api.PullLimit
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/limits?project="+url.QueryEscape(project), nil, &limit); err != nil {
				return err
			}
			l := newListing(cmd, format, "limit")
			if !limit.Limited && format != formatJSON && format != formatYAML {
				_, err := fmt.Fprintln(l.out, "Your pulls are not limited.")
				return err
			}
			return l.print(limit, limitTable(limit, time.Now()))
		},
	}
	cmd.Flags().StringVar(&project, "of", "", "for the images of this project")
	addOutputFlag(cmd, &format)
	return cmd
}

func limitTable(limit api.PullLimit, now time.Time) table {
	in := func(at *time.Time) string {
		if at == nil {
			return "now"
		}
		return "in " + max(time.Second, at.Sub(now)).Round(time.Second).String()
	}
	return table{
		header: []string{"SOURCE", "LIMIT", "REMAINING", "WINDOW", "NEXT", "RESETS"},
		rows: [][]string{{
			limit.Source, strconv.Itoa(limit.Limit), strconv.Itoa(limit.Remaining),
			span(time.Duration(limit.Window) * time.Second), in(limit.NextAt), in(limit.ResetsAt),
		}},
	}
}
