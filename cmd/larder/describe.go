package main

import "github.com/spf13/cobra"

func newDescribeCommand() *cobra.Command {
	return newVerbCommand("describe", "describe", "Tell all about one thing",
		newDescribeProjectCommand(), newDescribeImageStreamCommand(), newDescribeTagCommand(), newDescribeAccessTokenCommand(),
		newDescribeRoleCommand(roleKind()), newDescribeRoleBindingCommand(bindingKind()),
		newDescribeRoleCommand(clusterRoleKind()), newDescribeRoleBindingCommand(clusterBindingKind()),
	)
}
