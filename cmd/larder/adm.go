package main

import "github.com/spf13/cobra"

func newAdmCommand() *cobra.Command {
	return newVerbCommand("adm", "do", "Look after a registry", newPruneCommand(), newAdmGroupsCommand(), newAdmPolicyCommand())
}

func newPruneCommand() *cobra.Command {
	return newVerbCommand("prune", "prune", "Remove what nothing refers to any more", newPruneImagesCommand())
}
