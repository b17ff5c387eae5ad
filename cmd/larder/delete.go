package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete one thing",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say what to delete: larder delete retention")
			}
			return usagef("%q cannot be deleted: larder delete knows retention", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeleteRetentionCommand())
	return cmd
}

// addYesFlag adds the flag without which nothing is deleted.
func addYesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do it: there is no question in between")
}

// confirmed refuses what was not confirmed.
func confirmed(yes bool, what string) error {
	if yes {
		return nil
	}
	return usagef("%s was not deleted: add --yes to the line if that is meant", what)
}

// deleted says so.
func deleted(cmd *cobra.Command, what string) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", what)
	return err
}
