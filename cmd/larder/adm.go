package main

import "github.com/spf13/cobra"

func newAdmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adm",
		Short: "Look after a registry",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say what to do: larder adm prune images")
			}
			return usagef("unknown command %q: larder adm knows prune", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPruneCommand())
	return cmd
}

func newPruneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what nothing refers to any more",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say what to prune: larder adm prune images")
			}
			return usagef("%q cannot be pruned: larder adm prune knows images", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPruneImagesCommand())
	return cmd
}
