package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/rewriting"
)

// maxNamed bounds how many workloads an error names.
const maxNamed = 20

func newKubeUninstallCommand() *cobra.Command {
	var f installedCommand
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove from a cluster what makes its images be rewritten",
		Long: `Remove the policy, the webhook's configuration, the watcher, the node mirrors' DaemonSet and
what they need, found by their labels. It refuses while running pods use images of the
registry. The registry itself, its data and its namespace stay.`,
		Example: "  larder kube off\n  larder kube uninstall",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.uninstall(cmd.Context(), cmd.OutOrStdout()) },
	}
	f.addFlags(cmd)
	return cmd
}

func (f *installedCommand) uninstall(ctx context.Context, out io.Writer) error {
	cluster, installed, err := f.look(ctx)
	if err != nil {
		return err
	}
	if installed.Rules.Host == "" {
		return usagef("nothing in the cluster says what the registry is called: name it with --host, so that no running pod loses its images")
	}
	workloads, err := installed.Workloads(ctx, installed.UsesHost)
	if err != nil {
		return err
	}
	if len(workloads) > 0 {
		return stillUsed(installed.Rules.Host, workloads)
	}
	objects, err := installed.Installed(ctx)
	if err != nil {
		return err
	}
	if len(objects) == 0 {
		_, err := fmt.Fprintf(out, "Nothing of it is installed in %s (%s).\n", cluster.Server, cluster.From)
		return err
	}
	return remove(ctx, out, installed, objects)
}

// stillUsed names the workloads whose pods would have no images any more.
func stillUsed(host string, workloads []rewriting.Using) error {
	text := &strings.Builder{}
	for _, w := range workloads[:min(len(workloads), maxNamed)] {
		fmt.Fprintf(text, "\n  %s  (%s)", w.Restart(), pluralPods(w.Pods))
	}
	if more := len(workloads) - maxNamed; more > 0 {
		fmt.Fprintf(text, "\n  and %d more", more)
	}
	return fmt.Errorf("running pods use images of %s, and nothing was removed. Turn rewriting off with larder kube off, restart these, and run it again; those that name %[1]s in their manifests need another image:%s", host, text)
}

func pluralPods(n int) string {
	if n == 1 {
		return "1 pod"
	}
	return fmt.Sprintf("%d pods", n)
}

// remove leaves what Helm would put back, and says who removes it.
func remove(ctx context.Context, out io.Writer, installed rewriting.Installation, objects []rewriting.Object) error {
	releases := map[string]bool{}
	for _, o := range objects {
		if o.Release != "" {
			releases[o.Release] = true
			continue
		}
		if err := installed.Remove(ctx, o); err != nil {
			return fmt.Errorf("%w; run it again for the rest", err)
		}
		in := ""
		if o.Namespace != "" {
			in = " in namespace " + o.Namespace
		}
		if _, err := fmt.Fprintf(out, "%s%s removed\n", o.Name, in); err != nil {
			return err
		}
	}
	for release := range releases {
		if _, err := fmt.Fprintf(out, "The rest belongs to a release of Helm: helm uninstall %s\n", release); err != nil {
			return err
		}
	}
	return nil
}
