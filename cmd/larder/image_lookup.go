package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/kube"
)

// lookupOptions are the flags of set image-lookup.
type lookupOptions struct {
	enabled, all, list bool
	cluster            kube.Kubeconfig
}

func newSetImageLookupCommand() *cobra.Command {
	var o lookupOptions
	output := formatTable
	cmd := &cobra.Command{
		Use:   "image-lookup [NAME... | KIND/NAME...]",
		Short: "Say whether short names in pods mean the image streams of their namespace",
		Long: `Say whether short names in pods mean repositories of the project that is called like
the pod's namespace: centos:7 in namespace demo then means demo/centos:7 of this registry,
by the digest that the tag has when the pod is made. It takes the admission webhook (larder
kube webhook). A tag that the repository does not have means what it meant before.

Of a workload of the current kubeconfig's cluster, as in deploy/web, it is said that all
short names in its pods mean repositories of the project, whatever is set for these: by
OpenShift's annotation alpha.image.policy.openshift.io/resolve-names on its template.

Without a name, or with --list, it is shown for which repositories that is so.`,
		Example: `  larder set image-lookup centos -n demo
  larder set image-lookup centos --enabled=false
  larder set image-lookup --all
  larder set image-lookup --list
  larder set image-lookup deploy/web -n demo`,
		Args: usageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.all && len(args) > 0 {
				return usagef("--all means all image streams of the project: name none beside it")
			}
			workloads, err := lookupWorkloads(args)
			if err != nil {
				return err
			}
			if len(workloads) > 0 {
				return o.ofWorkloads(cmd, workloads, output)
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			if o.list || len(args) == 0 && !o.all {
				return listLookups(cmd, c, args, output)
			}
			names, err := o.names(cmd, c, args)
			if err != nil {
				return err
			}
			return setLookups(cmd, c, names, o.enabled)
		},
	}
	cmd.Flags().BoolVar(&o.enabled, "enabled", true, "whether short names mean them")
	cmd.Flags().BoolVar(&o.all, "all", false, "of all image streams of the project")
	cmd.Flags().BoolVar(&o.list, "list", false, "change nothing; show what is set")
	addOutputFlag(cmd, &output)
	addClusterFlags(cmd, &o.cluster)
	return cmd
}

// names are the repositories that are changed.
func (o lookupOptions) names(cmd *cobra.Command, c *client, args []string) (all []imageName, err error) {
	if !o.all {
		return streamNames(cmd, args)
	}
	project, err := namespace(cmd)
	if err != nil {
		return nil, err
	}
	found, err := listRepositories(cmd.Context(), c, project)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		all = append(all, imageName{project: r.Project, repository: r.Name})
	}
	if len(all) == 0 {
		return nil, none(cmd, noImageStreams(project))
	}
	return all, nil
}

// streamNames reads names of repositories without a tag. As with oc, each may have its noun
// before it, as in imagestream/centos, which then leaves the project out, as -o name does.
func streamNames(cmd *cobra.Command, args []string) (all []imageName, err error) {
	for _, text := range args {
		name := text
		if noun, rest, slash := strings.Cut(text, "/"); slash && slices.Contains([]string{"imagestream", "imagestreams", "is"}, noun) {
			name = inProject(cmd.Flags().Changed(namespaceFlag), rest)
		}
		n, err := parseImageName(cmd, name)
		if err != nil {
			return nil, err
		}
		if n.tag != "" || n.digest != "" {
			return nil, usagef("%q names one image: the lookup is set for all tags of an image stream, %s", text, n.full())
		}
		all = append(all, n)
	}
	return all, nil
}

func setLookups(cmd *cobra.Command, c *client, names []imageName, enabled bool) error {
	change, state := api.RepositoryChange{Lookup: &api.LookupPolicy{Local: enabled}}, "disabled"
	if enabled {
		state = "enabled"
	}
	for _, n := range names {
		if err := c.call(cmd.Context(), http.MethodPatch, n.path(), change, nil); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "imagestream %s image lookup %s\n", n.full(), state); err != nil {
			return err
		}
	}
	if enabled {
		return warnWithoutWebhook(cmd, c)
	}
	return nil
}

// warnWithoutWebhook says what is still missing for short names to be looked up.
func warnWithoutWebhook(cmd *cobra.Command, c *client) error {
	var k api.Kubernetes
	if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/kubernetes", nil, &k); err != nil {
		return err
	}
	if !k.Webhook {
		warn(cmd, "short names are looked up by the admission webhook, which is off: set kubernetes.listen in the server's configuration, and apply what larder kube webhook prints")
	}
	return nil
}

func listLookups(cmd *cobra.Command, c *client, args []string, output outputFormat) error {
	all, err := lookups(cmd, c, args)
	if err != nil {
		return err
	}
	t := table{header: []string{"NAME", "LOCAL"}, wide: []string{"PROJECT"}}
	for _, r := range all {
		t.rows = append(t.rows, []string{r.Name, strconv.FormatBool(r.Lookup.Local), r.Project})
	}
	return newListing(cmd, output, "imagestream").print(api.RepositoryList{Items: all}, t.orSay("No image streams found."))
}

// lookups are the repositories that are named, or all of the project.
func lookups(cmd *cobra.Command, c *client, args []string) (all []api.Repository, err error) {
	if len(args) == 0 {
		project, err := namespace(cmd)
		if err != nil {
			return nil, err
		}
		return listRepositories(cmd.Context(), c, project)
	}
	names, err := streamNames(cmd, args)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		var one api.Repository
		if err := c.call(cmd.Context(), http.MethodGet, n.path(), nil, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// lookupText tells whether short names mean a repository.
func lookupText(r api.Repository) string {
	if r.Lookup.Local {
		return "short names in pods of namespace " + r.Project
	}
	return "none"
}
