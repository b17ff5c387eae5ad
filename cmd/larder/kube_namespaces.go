package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newKubeNamespacesCommand() *cobra.Command {
	var format outputFormat
	cmd := &cobra.Command{
		Use:     "namespaces",
		Aliases: []string{"namespace", "ns"},
		Short:   "Show by namespace how the pods of the server's cluster get their images",
		Long: `Show by namespace how the pods of the server's cluster get their images, in pods that have
not ended; a pod counts wherever one of its images does:

  REWRITTEN   of another registry, pulled by this one's name
  HOSTED      of this registry itself
  OPTED-OUT   could be rewritten, but the pod or its namespace opts out: WHY
  BY-NODE     could be rewritten and is not: through the node's mirror, or from its registry
  MIRRORED    seen pulled through the mirror of a node, the last time at LAST
  ELSEWHERE   of a registry that is not mirrored

-o wide adds the new pods that the server's webhook has reviewed: those that it rewrote,
those that it left as they were, and why. The server counts these and what nodes pull
since it was started. It is asked; larder kube images asks the cluster alone.`,
		Example: "  larder kube namespaces -o wide",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showNamespaces(cmd, newListing(cmd, format, "namespace"))
		},
	}
	addOutputFlag(cmd, &format)
	return cmd
}

func showNamespaces(cmd *cobra.Command, l listing) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	var all api.ClusterNamespaceList
	if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/kubernetes/namespaces", nil, &all); err != nil {
		return err
	}
	if err := l.print(all, namespaceRows(all.Items, time.Now())); err != nil || all.Looked {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "larder: the server does not look which pods run, and tells of what its webhook has reviewed alone (-o wide): set kubernetes.pinRunning in its configuration")
	return err
}

func namespaceRows(all []api.ClusterNamespace, now time.Time) table {
	t := table{
		header: []string{"NAMESPACE", "PODS", "REWRITTEN", "HOSTED", "OPTED-OUT", "WHY", "BY-NODE", "MIRRORED", "LAST", "ELSEWHERE"},
		wide:   []string{"REVIEWED", "OF-THEM-REWRITTEN", "LEFT", "LAST-REVIEWED"},
	}
	for _, n := range all {
		out, why := byReason(n.OptedOut)
		row := []string{
			n.Name, strconv.Itoa(n.Pods), strconv.Itoa(n.Rewritten), strconv.Itoa(n.Hosted), strconv.Itoa(out), why,
			strconv.Itoa(n.ByNode), strconv.Itoa(n.Mirrored), clock(n.MirroredAt, now), strconv.Itoa(n.Elsewhere),
		}
		var of api.ReviewedPods
		if n.Reviewed != nil {
			of = *n.Reviewed
		}
		left, reasons := byReason(of.Left)
		last := "-"
		if n.Reviewed != nil {
			last = clock(&of.At, now)
		}
		t.rows = append(t.rows, append(row, strconv.FormatInt(of.Rewritten+left, 10), strconv.FormatInt(of.Rewritten, 10), reasons, last))
	}
	return t
}

// byReason adds up counts by reason, and says them when there are any.
func byReason[N int | int64](by map[string]N) (sum N, reasons string) {
	var all []string
	for _, why := range slices.Sorted(maps.Keys(by)) {
		sum += by[why]
		all = append(all, fmt.Sprintf("%s=%d", why, by[why]))
	}
	return sum, cmp.Or(strings.Join(all, ","), "-")
}
