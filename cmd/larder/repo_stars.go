package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newStarCommand() *cobra.Command {
	return starring("star REPOSITORY", "Star a repository, to find it again and to show that you like it", http.MethodPut, "starred")
}

func newUnstarCommand() *cobra.Command {
	return starring("unstar REPOSITORY", "Take your star from a repository", http.MethodDelete, "no longer starred")
}

func starring(use, short, method, done string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseImageName(cmd, args[0])
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), method, n.path()+"/star", nil, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", n.full(), done)
			return err
		},
	}
}

func newStarsCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:   "stars",
		Short: "List the repositories that you have starred",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			all, err := listAll(cmd.Context(), c, "/api/v1/stars", nil, func(p api.RepositoryList) ([]api.Repository, string) { return p.Items, p.Next })
			if err != nil {
				return err
			}
			t := repositoryRows(all, reach{all: true}, time.Now())
			return newListing(cmd, output, "star").print(api.RepositoryList{Items: all}, t.orSay("You have starred nothing: larder repo star REPOSITORY does."))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}
