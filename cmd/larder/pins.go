package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newPinCommand() *cobra.Command {
	return pinning("pin IMAGE...", "Keep images, whatever happens",
		`Keep images, whatever happens: neither eviction nor the rules of retention remove them. A
pinned tag keeps whatever image it names, now and later.`,
		"  larder pin docker-hub/library/nginx:1.27", http.MethodPut, "pinned")
}

func newUnpinCommand() *cobra.Command {
	return pinning("unpin IMAGE...", "Let pinned images go when their time comes", "",
		"  larder unpin docker-hub/library/nginx:1.27", http.MethodDelete, "no longer pinned")
}

func pinning(use, short, long, example, method, done string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var images []imageName
			for _, text := range args {
				n, err := parseImageName(cmd, text)
				if err != nil {
					return err
				}
				if n.tag == "" && n.digest == "" {
					return usagef("%q names no tag and no digest: write it as in demo/app:1.0", text)
				}
				images = append(images, n)
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			for _, n := range images {
				path := n.path() + "/pins/" + url.PathEscape(cmp.Or(n.tag, n.digest))
				name, into := n.String(), any(nil)
				var kept api.Pin
				if method == http.MethodPut {
					into = &kept
				}
				if err := c.call(cmd.Context(), method, path, nil, into); err != nil {
					return err
				}
				if into != nil {
					name = pinnedImage(kept) // as pulls understand what was typed
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", name, done); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newGetPinsCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:     "pins",
		Aliases: []string{"pin"},
		Short:   "List the images that are kept, whatever happens",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			project, err := cmd.Flags().GetString(namespaceFlag)
			if err != nil {
				return err
			}
			all, err := listPins(cmd, project)
			if err != nil {
				return err
			}
			if err := newListing(cmd, output, "pin").print(all, pinRows(all.Items, time.Now()).orSay("No images are pinned.")); err != nil || !all.More {
				return err
			}
			_, err = fmt.Fprintln(cmd.ErrOrStderr(), "larder: there are more pins than these: -n PROJECT lists those of one project")
			return err
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

// listPins lists the pins of a project, "" for all.
func listPins(cmd *cobra.Command, project string) (all api.PinList, err error) {
	c, _, err := currentClient()
	if err != nil {
		return all, err
	}
	err = c.call(cmd.Context(), http.MethodGet, "/api/v1/pins?"+url.Values{"project": {project}}.Encode(), nil, &all)
	return all, err
}

func pinRows(all []api.Pin, now time.Time) table {
	t := table{header: []string{"IMAGE", "REASON", "BY", "AGE"}, wide: []string{"UNTIL"}}
	for _, p := range all {
		t.rows = append(t.rows, []string{pinnedImage(p), p.Reason, cmp.Or(p.Actor, "-"), age(now.Sub(p.CreatedAt)), clock(p.Until, now)})
	}
	return t
}

func pinnedImage(p api.Pin) string {
	return imageName{project: p.Project, repository: p.Repository, tag: p.Tag, digest: p.Digest}.String()
}
