package main

import "github.com/spf13/cobra"

func newCreateCommand() *cobra.Command {
	return newVerbCommand("create", "create", "Make one thing",
		newCreateImageStreamCommand(),
		newCreateUserCommand(), newCreateGroupCommand(), newCreateServiceAccountCommand(),
		newCreateWebhookCommand(), newCreateTokenCommand(), newCreateAccessTokenCommand(),
		newCreateRoleCommand(roleKind()), newCreateRoleCommand(clusterRoleKind()),
		newCreateRoleBindingCommand(bindingKind()), newCreateRoleBindingCommand(clusterBindingKind()),
	)
}
