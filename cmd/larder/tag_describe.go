package main

import (
	"cmp"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newDescribeTagCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "tag REPOSITORY:TAG",
		Aliases: tagNouns(),
		Short:   "Tell all about a tag: its images, their sizes, when they were pushed and pulled",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := withTag(cmd, args[0])
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var t api.Tag
			if err := c.call(cmd.Context(), http.MethodGet, n.tagPath(), nil, &t); err != nil {
				return err
			}
			return printTag(cmd, t, time.Now())
		},
	}
}

func printTag(cmd *cobra.Command, t api.Tag, now time.Time) error {
	lines := [][2]string{
		{"Name", t.Project + "/" + t.Repository + ":" + t.Name}, {"Digest", t.Digest}, {"Media type", t.MediaType},
		{"Size here", bytesText(t.Size)}, {"Set", agoText(&t.SetAt, now)},
		{"Pushed", agoText(t.PushedAt, now)}, {"Pulled", agoText(t.PulledAt, now)}, {"Stale", yesNo(t.Stale)},
	}
	if t.VanishedAt != nil {
		lines = append(lines, [2]string{"Upstream", "no longer has it, since " + agoText(t.VanishedAt, now)})
	}
	err := printLines(cmd.OutOrStdout(), lines)
	if err != nil || len(t.Images) == 0 {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprint(w, "\nPLATFORM\tDOWNLOAD SIZE\tUNPACKED SIZE\tPUSHED\tPULLED\tDIGEST\n")
	for _, i := range t.Images {
		download, unpacked := "not here", "-"
		if i.Held {
			download = bytesText(i.Size)
		}
		if i.Unpacked > 0 {
			unpacked = bytesText(i.Unpacked)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", printable(cmp.Or(i.Platform, "-")), download, unpacked, agoText(i.PushedAt, now), agoText(i.PulledAt, now), i.Digest)
	}
	return w.Flush()
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
