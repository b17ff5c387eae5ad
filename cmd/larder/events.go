package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newGetEventsCommand() *cobra.Command {
	var (
		since ago
		limit int
	)
	output := formatTable
	cmd := &cobra.Command{
		Use:     "events",
		Aliases: []string{"event", "ev"},
		Short:   "Show who changed what, and what was refused, the newest first",
		Long: `Show who changed what, and what was refused, the newest first: changes by this
command line and the API, pushes, deletions, and refused logins. With -n those of one
project, otherwise those of all, which administrators may see. They are kept for 90
days.`,
		Example: "  larder get events -n demo --since 24h",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit is at least 1")
			}
			project, err := cmd.Flags().GetString(namespaceFlag)
			if err != nil {
				return err
			}
			query := url.Values{"project": {project}}
			if since.duration > 0 {
				query.Set("since", time.Now().Add(-time.Duration(since.duration)).UTC().Format(time.RFC3339))
			}
			all, err := listEvents(cmd, query, limit)
			if err != nil {
				return ofOneProject(cmd, project, err)
			}
			return newListing(cmd, output, "event").print(api.EventList{Items: all}, eventRows(all, time.Now()).orSay("No events found."))
		},
	}
	cmd.Flags().Var(&since, "since", "only those of the last `time`, such as 24h or 30d")
	cmd.Flags().IntVar(&limit, "limit", 500, "show at most this many")
	addOutputFlag(cmd, &output)
	return cmd
}

// ofOneProject tells whoever may not see the events of all projects how to ask for those of
// the project that is selected.
func ofOneProject(cmd *cobra.Command, project string, err error) error {
	refused, ok := errors.AsType[*answerError](err)
	if !ok || refused.status != http.StatusForbidden || project != "" {
		return err
	}
	selected, unknown := namespace(cmd)
	if unknown != nil {
		return err
	}
	return fmt.Errorf("%w; for those of the selected project: larder get events -n %s", err, selected)
}

func listEvents(cmd *cobra.Command, query url.Values, limit int) ([]api.Event, error) {
	c, _, err := currentClient()
	if err != nil {
		return nil, err
	}
	return listFirst(cmd.Context(), c, "/api/v1/events", query, limit, func(p api.EventList) ([]api.Event, string) { return p.Items, p.Next })
}

func eventRows(all []api.Event, now time.Time) table {
	t := table{header: []string{"AGE", "ACTOR", "ACTION", "OBJECT", "RESULT"}, wide: []string{"ADDRESS", "DETAIL"}}
	for _, e := range all {
		t.rows = append(t.rows, []string{
			age(now.Sub(e.At)), cmp.Or(e.Actor, "-"), e.Action, cmp.Or(e.Object, "-"), e.Result, cmp.Or(e.Address, "-"), e.Detail,
		})
	}
	return t
}
