package main

import "github.com/spf13/cobra"

func newGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get",
		Short: "List what there is",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say what to list: larder get projects")
			}
			return usagef("%q cannot be listed: larder get knows projects and retention", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGetProjectsCommand(), newGetRetentionCommand())
	return cmd
}
