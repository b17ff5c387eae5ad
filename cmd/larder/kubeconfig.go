package main

import (
	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/kube"
)

// addClusterFlags adds the flags by which kubectl finds its cluster, for commands that
// speak to it, and to no server of ours.
func addClusterFlags(cmd *cobra.Command, k *kube.Kubeconfig) {
	cmd.Flags().StringVar(&k.File, "kubeconfig", "", "the kubeconfig of the cluster, instead of the file that kubectl reads")
	cmd.Flags().StringVar(&k.Context, "context", "", "the context of that file, instead of its current one")
}

// openCluster finds the cluster, and asks nothing yet.
func openCluster(k kube.Kubeconfig) (*kube.Cluster, error) { return k.Open("larder/" + version) }
