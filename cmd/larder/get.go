package main

import "github.com/spf13/cobra"

func newGetCommand() *cobra.Command {
	return newVerbCommand("get", "list", "List what there is",
		newGetProjectsCommand(), newGetImageStreamsCommand(), newGetTagsCommand(), newGetRetentionCommand(), newGetEventsCommand(), newGetPinsCommand(),
		newGetWebhooksCommand(), newGetDeliveriesCommand(),
		newGetUsersCommand(), newGetGroupsCommand(), newGetServiceAccountsCommand(), newGetAccessTokensCommand(),
		newGetRolesCommand(roleKind()), newGetRolesCommand(clusterRoleKind()),
		newGetRoleBindingsCommand(bindingKind()), newGetRoleBindingsCommand(clusterBindingKind()),
	)
}
