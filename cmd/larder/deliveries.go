package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func deliveriesPath(project string) string { return projectPath(project) + "/deliveries" }

func newGetDeliveriesCommand() *cobra.Command {
	var webhook string
	limit, output := 100, formatTable
	cmd := &cobra.Command{
		Use:     "deliveries",
		Aliases: []string{"delivery"},
		Short:   "Show what the webhooks of the project were told, the newest first",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit is at least 1")
			}
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			all, err := listDeliveries(cmd, project, webhook, limit)
			if err != nil {
				return err
			}
			return newListing(cmd, output, "delivery").print(api.DeliveryList{Items: all}, deliveryRows(all, time.Now()).orSay("There are no deliveries."))
		},
	}
	cmd.Flags().StringVar(&webhook, "webhook", "", "only those to this one")
	cmd.Flags().IntVar(&limit, "limit", limit, "show at most this many")
	addOutputFlag(cmd, &output)
	return cmd
}

func listDeliveries(cmd *cobra.Command, project, webhook string, limit int) ([]api.Delivery, error) {
	c, _, err := currentClient()
	if err != nil {
		return nil, err
	}
	return listFirst(cmd.Context(), c, deliveriesPath(project), url.Values{"webhook": {webhook}}, limit,
		func(p api.DeliveryList) ([]api.Delivery, string) { return p.Items, p.Next })
}

func deliveryRows(all []api.Delivery, now time.Time) table {
	t := table{header: []string{"ID", "WEBHOOK", "EVENT", "ABOUT", "STATE", "ATTEMPTS", "STATUS", "AGE"}, wide: []string{"TOOK", "NEXT", "MESSAGE"}}
	for _, d := range all {
		about, status, next := d.Repository, "-", "-"
		if d.Tag != "" {
			about += ":" + d.Tag
		}
		if d.Status != 0 {
			status = strconv.Itoa(d.Status)
		}
		if d.NextAt != nil {
			next = clock(d.NextAt, now)
		}
		t.rows = append(t.rows, []string{
			strconv.FormatInt(d.ID, 10), d.Webhook, d.Event, cmp.Or(about, "-"), d.State, strconv.Itoa(d.Attempts), status, age(now.Sub(d.At)),
			cmp.Or(d.Took, "-"), next, cmp.Or(d.Message, "-"),
		})
	}
	return t
}

func newRedeliverCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "redeliver ID...",
		Short: "Deliver once more, at once, whatever came of it before",
		Args:  usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			for _, id := range args {
				if _, err := strconv.ParseUint(id, 10, 63); err != nil {
					return usagef("%q is no id of a delivery: larder get deliveries shows them", id)
				}
			}
			for _, id := range args {
				if err := c.call(cmd.Context(), http.MethodPost, deliveriesPath(project)+"/"+id+"/redeliver", nil, nil); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "delivery %s is tried again\n", id); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
