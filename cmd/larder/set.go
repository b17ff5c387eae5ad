package main

import "github.com/spf13/cobra"

func newSetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Change one thing of what there is",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say what to set: larder set retention")
			}
			return usagef("%q cannot be set: larder set knows retention", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSetRetentionCommand())
	return cmd
}
