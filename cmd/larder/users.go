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

func userPath(name string) string { return "/api/v1/users/" + url.PathEscape(name) }

func newCreateUserCommand() *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use:   "user NAME",
		Short: "Make a user",
		Long: `Make a user. The password is made and printed once, unless --password-stdin gives
one; the user changes it with larder passwd.`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := api.AccountRequest{Name: args[0]}
			if stdin {
				var err error
				if request.Password, err = readLine(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var made api.Account
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/users", request, &made); err != nil {
				return err
			}
			if made.Password != "" {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "user %q created; the password is %s\n", made.Name, made.Password)
				return err
			}
			return created(cmd, "user", made.Name)
		},
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

// created says so.
func created(cmd *cobra.Command, noun, name string) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %q created\n", noun, name)
	return err
}

func newDeleteUserCommand() *cobra.Command {
	return newDeleteNamedCommand("user", "Delete a user and their access tokens", []string{"users"},
		func(_ *cobra.Command, name string) (string, error) { return userPath(name), nil })
}

func newGetUsersCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:     "users [NAME]",
		Aliases: []string{"user"},
		Short:   "List the users, or show one and their groups",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			out := newListing(cmd, output, "user")
			if len(args) == 1 {
				var one api.Account
				if err := c.call(cmd.Context(), http.MethodGet, userPath(args[0]), nil, &one); err != nil {
					return err
				}
				return out.print(one, userRows([]api.Account{one}, time.Now()))
			}
			all, err := listAll(cmd.Context(), c, "/api/v1/users", nil, func(p api.AccountList) ([]api.Account, string) { return p.Items, p.Next })
			if err != nil {
				return err
			}
			return out.print(api.AccountList{Items: all}, userRows(all, time.Now()).orSay("No users found."))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func userRows(all []api.Account, now time.Time) table {
	t := table{header: []string{"NAME", "LOGIN", "AGE"}, wide: []string{"GROUPS"}}
	for _, u := range all {
		login := "password"
		switch {
		case u.Disabled:
			login = "disabled"
		case u.Issuer != "":
			login = u.Issuer
		}
		t.rows = append(t.rows, []string{u.Name, login, age(now.Sub(u.CreatedAt)), strings.Join(u.Groups, ",")})
	}
	return t
}
