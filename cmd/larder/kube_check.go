package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/rewriting"
)

// checkCommand is what the flags of larder kube check say.
type checkCommand struct {
	installedCommand
	namespace string
	nodes     int
	timeout   time.Duration
	format    outputFormat
}

func newKubeCheckCommand() *cobra.Command {
	var c checkCommand
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Try on a cluster whether its pods pull through the registry",
		Long: `Try it on the cluster of the current kubeconfig: whether the policy is turned on, what
becomes of the image of a new pod (by a dry run), and from some nodes whether they know the
registry's name, trust its certificate and pull a cached image, by a pod on each that is
removed afterwards. Whether containerd reads config_path is told by the DaemonSet of node
mirrors; without it, the line to type on a node is printed. What fails says what to do.`,
		Example: "  larder kube check\n  larder kube check --in demo --nodes 10",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	c.addFlags(cmd)
	cmd.Flags().StringVar(&c.namespace, "in", "", "the namespace in which pods are tried, instead of the context's")
	cmd.Flags().IntVar(&c.nodes, "nodes", 3, "on how many nodes it is tried; 0: on none")
	cmd.Flags().DurationVar(&c.timeout, "timeout", time.Minute, "how long a pull on a node may take")
	addOutputFlag(cmd, &c.format)
	return cmd
}

func (c *checkCommand) run(ctx context.Context, out io.Writer) error {
	if c.namespace != "" && !mirror.IsNamespace(c.namespace) {
		return usagef("--in %q is not the name of a namespace", c.namespace)
	}
	if c.nodes < 0 || c.timeout < time.Second {
		return usagef("--nodes is not negative, and --timeout is a second or more")
	}
	cluster, installed, err := c.look(ctx)
	if err != nil {
		return err
	}
	if installed.Rules.Host == "" {
		return usagef("nothing in the cluster says what the registry is called: name it with --host, or log in to it")
	}
	found, err := c.try(ctx, cluster, installed)
	if err != nil {
		return err
	}
	failed := 0
	for _, f := range found {
		if f.Outcome == rewriting.Failed {
			failed++
		}
	}
	if err := c.print(out, found); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d did not hold on %s (%s); what to do stands below each", failed, len(found), cluster.Server, cluster.From)
	}
	return nil
}

// try does all that is asked for, one after the other.
func (c *checkCommand) try(ctx context.Context, cluster *kube.Cluster, installed rewriting.Installation) ([]rewriting.Finding, error) {
	namespace := c.namespace
	if namespace == "" {
		namespace = cluster.Namespace
	}
	found := append(installed.CheckSwitches(ctx), installed.CheckCertificates(ctx, time.Now())...)
	found = append(found, installed.CheckPod(ctx, namespace))
	if c.nodes == 0 {
		return found, nil
	}
	nodes, all, err := installed.Nodes(ctx, c.nodes)
	if err != nil {
		return nil, fmt.Errorf("listing the nodes: %w; or leave them out with --nodes 0", err)
	}
	if all > len(nodes) {
		found = append(found, rewriting.Finding{
			What: "further nodes", Outcome: rewriting.Unknown, Seen: fmt.Sprintf("%d of %d nodes were tried", len(nodes), all), Next: fmt.Sprintf("try all with --nodes %d", all),
		})
	}
	if all == 0 {
		found = append(found, rewriting.Finding{What: "nodes", Outcome: rewriting.Unknown, Seen: "no node is ready", Next: "kubectl get nodes"})
	}
	for _, node := range nodes {
		found = append(found, installed.CheckPull(ctx, namespace, node, c.timeout), installed.CheckMirror(ctx, cluster, node))
	}
	return found, nil
}

func (c *checkCommand) print(out io.Writer, found []rewriting.Finding) error {
	if c.format == formatJSON || c.format == formatYAML {
		return listing{out: out, format: c.format, resource: "check"}.printObject(map[string]any{"items": found})
	}
	for _, f := range found {
		text := fmt.Sprintf("%-8s %s: %s\n", f.Outcome, f.What, f.Seen)
		if f.Next != "" {
			text += fmt.Sprintf("%8s → %s\n", "", f.Next)
		}
		if _, err := io.WriteString(out, printableLines(text)); err != nil {
			return err
		}
	}
	return nil
}
