package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// newRepoCommand does with repositories what get, describe, create and delete do, for
// those who begin with the noun.
func newRepoCommand() *cobra.Command {
	as := func(name string, aliases []string, cmd *cobra.Command) *cobra.Command {
		_, args, _ := strings.Cut(cmd.Use, " ")
		cmd.Use, cmd.Aliases = name+" "+args, aliases
		return cmd
	}
	return newVerbCommand("repo", "do", "List, show, make, share, star and delete repositories",
		as("list", []string{"ls"}, newGetImageStreamsCommand()),
		as("describe", []string{"show"}, newDescribeImageStreamCommand()),
		as("create", nil, newCreateImageStreamCommand()),
		as("delete", []string{"rm"}, newDeleteImageStreamCommand()),
		as("tags", nil, newGetTagsCommand()),
		newVisibilityCommand(), newCollaboratorCommand(), newTeamCommand(),
		newStarCommand(), newUnstarCommand(), newStarsCommand(),
	)
}
