package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func groupPath(name string) string { return "/api/v1/groups/" + url.PathEscape(name) }

func newCreateGroupCommand() *cobra.Command {
	var members []string
	cmd := &cobra.Command{
		Use:     "group NAME",
		Short:   "Make a group of users",
		Example: "  larder create group devs --user alice --user bob",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			request := api.GroupRequest{Name: args[0], Members: members}
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/groups", request, nil); err != nil {
				return err
			}
			return created(cmd, "group", args[0])
		},
	}
	cmd.Flags().StringArrayVar(&members, "user", nil, "a user to be in it; again and again")
	return cmd
}

func newDeleteGroupCommand() *cobra.Command {
	return newDeleteNamedCommand("group", "Delete a group; its members stay", []string{"groups"},
		func(_ *cobra.Command, name string) (string, error) { return groupPath(name), nil })
}

func newGetGroupsCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:     "groups [NAME]",
		Aliases: []string{"group"},
		Short:   "List the groups, or show one and who is in it",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			out := newListing(cmd, output, "group")
			if len(args) == 1 {
				var one api.Group
				if err := c.call(cmd.Context(), http.MethodGet, groupPath(args[0]), nil, &one); err != nil {
					return err
				}
				t := table{header: []string{"NAME", "USERS"}, wide: []string{"CREATOR"}}
				t.rows = [][]string{{one.Name, strings.Join(one.Members, ", "), one.Creator}}
				return out.print(one, t)
			}
			all, err := listAll(cmd.Context(), c, "/api/v1/groups", nil, func(p api.GroupList) ([]api.Group, string) { return p.Items, p.Next })
			if err != nil {
				return err
			}
			return out.print(api.GroupList{Items: all}, groupRows(all, time.Now()).orSay("No groups found."))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func groupRows(all []api.Group, now time.Time) table {
	t := table{header: []string{"NAME", "AGE"}, wide: []string{"CREATOR"}}
	for _, g := range all {
		t.rows = append(t.rows, []string{g.Name, age(now.Sub(g.CreatedAt)), g.Creator})
	}
	return t
}

func newAdmGroupsCommand() *cobra.Command {
	return newVerbCommand("groups", "do", "Say who is in a group",
		newMembersCommand("add-users", "Put users into a group", http.MethodPut, "added to"),
		newMembersCommand("remove-users", "Take users out of a group", http.MethodDelete, "removed from"),
	)
}

func newMembersCommand(use, short, method, done string) *cobra.Command {
	return &cobra.Command{
		Use:   use + " GROUP USER...",
		Short: short,
		Args:  usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			for _, user := range args[1:] {
				path := groupPath(args[0]) + "/members/" + url.PathEscape(user)
				if err := c.call(cmd.Context(), method, path, nil, nil); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "user %q %s group %q\n", user, done, args[0]); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
