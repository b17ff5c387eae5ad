package main

import "github.com/spf13/cobra"

func newSetCommand() *cobra.Command {
	return newVerbCommand("set", "set", "Change one thing of what there is",
		newSetRetentionCommand(), newSetQuotaCommand(), newSetImmutableTagsCommand(), newSetDescriptionCommand(),
		newSetImageLookupCommand(), newSetTriggersCommand(),
	)
}
