package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/rewriting"
)

// shownNamespaces is how many a table names.
const shownNamespaces = 3

func newKubeImagesCommand() *cobra.Command {
	var f installedCommand
	var format outputFormat
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List the images of a cluster's pods by where they come from",
		Long: `List the images of all pods that have not ended:

  rewritten   of another registry, pulled by this one's name
  hosted      of this registry itself
  opted-out   could be rewritten, but the pod or its namespace opts out
  by-node     could be rewritten and is not: through the node's mirror, or from its registry
  elsewhere   of a registry that is not mirrored

Only the cluster is asked.`,
		Example: "  larder kube images\n  larder kube images -o json",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.images(cmd.Context(), newListing(cmd, format, "image"))
		},
	}
	f.addFlags(cmd)
	addOutputFlag(cmd, &format)
	return cmd
}

func (f *installedCommand) images(ctx context.Context, l listing) error {
	_, installed, err := f.look(ctx)
	if err != nil {
		return err
	}
	if installed.Rules.Host == "" {
		_, _ = fmt.Fprintln(l.stderr, "larder: nothing in the cluster says what the registry is called: name it with --host, or its images count as elsewhere")
	}
	used, err := installed.Images(ctx)
	if err != nil {
		return err
	}
	t := table{header: []string{"IMAGE", "FROM", "PODS", "NAMESPACES"}}
	images := map[rewriting.Origin]int{}
	for _, u := range used {
		images[u.From]++
		t.rows = append(t.rows, []string{u.Image, string(u.From), strconv.Itoa(u.Pods), some(u.Namespaces)})
	}
	if err := l.print(map[string]any{"items": used}, t); err != nil {
		return err
	}
	if l.format != formatTable {
		return nil
	}
	_, err = fmt.Fprintf(l.stderr, "%d images: %d rewritten, %d hosted, %d opted out, %d by node or directly, %d elsewhere\n", len(used),
		images[rewriting.Rewritten], images[rewriting.Hosted], images[rewriting.OptedOut], images[rewriting.ByNode], images[rewriting.Elsewhere])
	return err
}

// some are the first of a list, and how many there are more.
func some(names []string) string {
	if len(names) <= shownNamespaces {
		return strings.Join(names, ",")
	}
	return fmt.Sprintf("%s +%d", strings.Join(names[:shownNamespaces], ","), len(names)-shownNamespaces)
}
