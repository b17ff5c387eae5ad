package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"
)

func newDeleteCommand() *cobra.Command {
	return newVerbCommand("delete", "delete", "Delete one thing",
		newDeleteProjectCommand(), newDeleteImageStreamCommand(), newDeleteTagCommand(), newDeleteRetentionCommand(), newDeleteWebhookCommand(),
		newDeleteUserCommand(), newDeleteGroupCommand(), newDeleteServiceAccountCommand(), newDeleteAccessTokenCommand(),
		newDeleteAccessCommand(roleKind()), newDeleteAccessCommand(clusterRoleKind()),
		newDeleteAccessCommand(bindingKind()), newDeleteAccessCommand(clusterBindingKind()),
	)
}

// newDeleteNamedCommand deletes what is at a path of the API, without a question, as
// kubectl does.
func newDeleteNamedCommand(noun, short string, aliases []string, path func(cmd *cobra.Command, name string) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use:     noun + " NAME",
		Aliases: aliases,
		Short:   short,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			at, err := path(cmd, args[0])
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodDelete, at, nil, nil); err != nil {
				return err
			}
			return deleted(cmd, noun+" "+strconv.Quote(args[0]))
		},
	}
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
