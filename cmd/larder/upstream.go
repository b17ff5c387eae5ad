package main

import "github.com/spf13/cobra"

func newUpstreamCommand() *cobra.Command {
	return newVerbCommand("upstream", "do", "See what upstream registries have left and who spent it, and keep their credentials",
		newUpstreamStatusCommand(), newUpstreamLedgerCommand(), newUpstreamCredentialCommand())
}
