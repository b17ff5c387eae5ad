package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/mirror"
)

// nodesCommand is what the flags of larder kube nodes say.
type nodesCommand struct{ namespace, image, url, ca string }

func newKubeNodesCommand() *cobra.Command {
	var n nodesCommand
	cmd := &cobra.Command{
		Use:   "nodes --image IMAGE",
		Short: "Print what keeps the files of mirrors on the nodes of a cluster",
		Long: `Print a DaemonSet for kubectl apply. Its pods keep the files in place by which containerd
asks the registry first and the image's own registry where it does not answer; no pod and
no image changes. Files of others are not touched. When the DaemonSet is removed, its files
are.`,
		Example: "  larder kube nodes --image registry.example.com/larder/larder:latest | kubectl apply -f -",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return n.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&n.namespace, "in", "larder", "the namespace of the DaemonSet")
	cmd.Flags().StringVar(&n.image, "image", "", "an image of larder")
	cmd.Flags().StringVar(&n.url, "url", "", "where nodes reach the registry, instead of its public URL")
	cmd.Flags().StringVar(&n.ca, "ca", "", "a PEM file with the CA that its certificate comes from, if nodes do not know it")
	return cmd
}

func (n nodesCommand) run(ctx context.Context, out, stderr io.Writer) error {
	if !mirror.IsNamespace(n.namespace) {
		return usagef("--in %q is not the name of a namespace", n.namespace)
	}
	if n.image == "" {
		return usagef("name an image of larder: --image registry.example.com/larder/larder:latest")
	}
	_, rules, _, err := serverRules(ctx)
	if err != nil {
		return err
	}
	if n.url == "" {
		if _, err := io.WriteString(stderr, loopbackNote(rules.Host)); err != nil {
			return err
		}
	}
	pods, err := helpers(ctx, n.namespace, n.image, n.url, n.ca)
	if err != nil {
		return err
	}
	return printForm(out, func() (string, error) { return mirror.NodeMirrors(pods, rules) })
}
