package main

import "github.com/spf13/cobra"

func newEditCommand() *cobra.Command {
	return newVerbCommand("edit", "edit", "Change what is said of one thing", newEditAccessTokenCommand())
}
