package main

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/rewriting"
)

// installedCommand is what the flags say of commands that work on what is installed in a
// cluster. They ask the cluster alone.
type installedCommand struct {
	cluster kube.Kubeconfig
	host    string
}

func (f *installedCommand) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.host, "host", "", "the registry's HOST, where nothing in the cluster says it")
	addClusterFlags(cmd, &f.cluster)
}

// look finds the cluster and what is installed there.
func (f *installedCommand) look(ctx context.Context) (*kube.Cluster, rewriting.Installation, error) {
	cluster, err := openCluster(f.cluster)
	if err != nil {
		return nil, rewriting.Installation{}, err
	}
	installed, err := rewriting.Look(ctx, cluster)
	if f.host != "" && f.host != installed.Rules.Host {
		installed.Rules = mirror.DockerHub(f.host)
	}
	if installed.Rules.Host == "" {
		installed.Rules = mirror.DockerHub(loggedInHost())
	}
	return cluster, installed, err
}

// loggedInHost is that of the server which one is logged in to; empty where there is none.
func loggedInHost() string {
	all, err := readContexts()
	if err != nil {
		return ""
	}
	login, err := all.current()
	if err != nil {
		return ""
	}
	u, err := url.Parse(login.Server)
	if err != nil {
		return ""
	}
	return u.Host
}

func newKubeOffCommand() *cobra.Command {
	var f installedCommand
	cmd := &cobra.Command{
		Use:   "off",
		Short: "Let new pods keep their images, and list the workloads to restart",
		Long: `Turn all rewriting of images off, by the policy's ConfigMap and by the selector of the
webhook's configuration, and list the workloads whose running pods have rewritten images.
Only the cluster of the current kubeconfig is asked, so that it works while the registry
does not. larder kube on undoes it. Mirrors of nodes stay: they change no pod.`,
		Example: "  larder kube off",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.off(cmd.Context(), cmd.OutOrStdout()) },
	}
	f.addFlags(cmd)
	return cmd
}

func newKubeOnCommand() *cobra.Command {
	var f installedCommand
	cmd := &cobra.Command{
		Use:     "on",
		Short:   "Have the images of new pods rewritten again, after larder kube off",
		Example: "  larder kube on",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, installed, err := f.look(cmd.Context())
			if err != nil {
				return err
			}
			return turn(cmd.Context(), cmd.OutOrStdout(), cluster, installed, true)
		},
	}
	f.addFlags(cmd)
	return cmd
}

func (f *installedCommand) off(ctx context.Context, out io.Writer) error {
	cluster, installed, err := f.look(ctx)
	if err != nil {
		return err
	}
	if err := turn(ctx, out, cluster, installed, false); err != nil {
		return err
	}
	workloads, err := installed.Workloads(ctx, installed.Rewritten)
	if err != nil {
		return fmt.Errorf("rewriting is off; listing the workloads to restart: %w", err)
	}
	if len(workloads) == 0 {
		_, err := fmt.Fprintln(out, "No running pod has a rewritten image.")
		return err
	}
	if installed.Rules.Host == "" {
		if _, err := fmt.Fprintln(out, "\nNothing says what the registry is called, so that only pods are known that the webhook has changed: name it with --host for all."); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprint(out, "\nThese have running pods with rewritten images. They go on as they are; to have them pull\nfrom the images' own registries:\n\n"); err != nil {
		return err
	}
	return printRestarts(out, workloads)
}

// turn has all that is installed rewrite images or not, and says what it did.
func turn(ctx context.Context, out io.Writer, cluster *kube.Cluster, installed rewriting.Installation, on bool) error {
	turned, err := installed.Turn(ctx, on)
	for _, t := range turned {
		line := fmt.Sprintf("%s: %s, was %s\n", t.What, t.Is, t.Was)
		if t.Was == t.Is {
			line = fmt.Sprintf("%s: %s already\n", t.What, t.Is)
		}
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%w; what stands above has been turned, run the same again for the rest", err)
	}
	if len(turned) == 0 {
		_, err = fmt.Fprintf(out, "No policy and no webhook rewrites images in %s (%s).\n", cluster.Server, cluster.From)
	}
	return err
}

// printRestarts has the line to type for each workload.
func printRestarts(out io.Writer, workloads []rewriting.Using) error {
	for _, w := range workloads {
		if _, err := fmt.Fprintln(out, w.Restart()); err != nil {
			return err
		}
	}
	return nil
}
