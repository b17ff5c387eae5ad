package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newKubePodsCommand() *cobra.Command {
	var namespace string
	var format outputFormat
	cmd := &cobra.Command{
		Use:     "pods [REPOSITORY]",
		Aliases: []string{"pod"},
		Short:   "List the pods of the server's cluster that run images of the registry",
		Long: `List the pods of the server's cluster that run images of the registry, whatever name they
call them by: all, or those that run images of one repository. An image that is PINNED is
here, and nothing removes it while it runs. The server is asked, which looks every five
minutes what runs.`,
		Example: "  larder kube pods docker-hub/library/nginx\n  larder kube pods --in shop -o json",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{"namespace": {namespace}}
			if len(args) == 1 {
				n, err := parseImageName(cmd, args[0])
				if err != nil {
					return err
				}
				if n.tag != "" || n.digest != "" {
					return usagef("%q has a tag or a digest: name a repository, as docker-hub/library/nginx is", args[0])
				}
				query.Set("repository", n.String())
			}
			return showPods(cmd, query, newListing(cmd, format, "pod"))
		},
	}
	cmd.Flags().StringVar(&namespace, "in", "", "only those of this namespace")
	addOutputFlag(cmd, &format)
	return cmd
}

func showPods(cmd *cobra.Command, query url.Values, l listing) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	all, err := listAll(cmd.Context(), c, "/api/v1/kubernetes/pods", query, func(p api.ClusterPodList) ([]api.ClusterPod, string) { return p.Items, p.Next })
	if err != nil {
		return err
	}
	return l.print(map[string]any{"items": all}, podRows(all, time.Now()).orSay("No pod runs such an image."))
}

func podRows(all []api.ClusterPod, now time.Time) table {
	t := table{header: []string{"POD", "NAMESPACE", "IMAGE", "FROM", "PINNED"}, wide: []string{"NAMED", "MIRRORED"}}
	for _, p := range all {
		for _, i := range p.Images {
			pinned := "no"
			if i.Pinned {
				pinned = "yes"
			}
			name := imageName{project: i.Project, repository: i.Repository, tag: i.Tag}
			if i.Digest != "" {
				name.tag, name.digest = "", i.Digest
			}
			t.rows = append(t.rows, []string{p.Name, p.Namespace, name.String(), i.From, pinned, i.Image, clock(i.MirroredAt, now)})
		}
	}
	return t
}
