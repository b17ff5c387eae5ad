package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// serviceAccountsPath is where the service accounts of a project are, or one of them.
func serviceAccountsPath(project string, name ...string) string {
	path := projectPath(project) + "/serviceaccounts"
	for _, n := range name {
		path += "/" + url.PathEscape(n)
	}
	return path
}

// serviceAccountPath is that of a service account in the project to work in.
func serviceAccountPath(cmd *cobra.Command, name string) (string, error) {
	project, err := namespace(cmd)
	return serviceAccountsPath(project, name), err
}

func newCreateServiceAccountCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "serviceaccount NAME",
		Aliases: []string{"sa"},
		Short:   "Make a service account in the project, for machines",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			request := api.ServiceAccountRequest{Name: args[0]}
			if err := c.call(cmd.Context(), http.MethodPost, serviceAccountsPath(project), request, nil); err != nil {
				return err
			}
			return created(cmd, "serviceaccount", args[0])
		},
	}
}

func newDeleteServiceAccountCommand() *cobra.Command {
	return newDeleteNamedCommand("serviceaccount", "Delete a service account and its tokens", []string{"sa", "serviceaccounts"}, serviceAccountPath)
}

func newGetServiceAccountsCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:     "serviceaccounts [NAME]",
		Aliases: []string{"serviceaccount", "sa"},
		Short:   "List the service accounts of the project, or show one",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			out := newListing(cmd, output, "serviceaccount")
			if len(args) == 1 {
				var one api.ServiceAccount
				if err := c.call(cmd.Context(), http.MethodGet, serviceAccountsPath(project, args[0]), nil, &one); err != nil {
					return err
				}
				return out.print(one, serviceAccountRows([]api.ServiceAccount{one}, time.Now()))
			}
			all, err := listAll(cmd.Context(), c, serviceAccountsPath(project), nil, func(p api.ServiceAccountList) ([]api.ServiceAccount, string) { return p.Items, p.Next })
			if err != nil {
				return err
			}
			return out.print(api.ServiceAccountList{Items: all}, serviceAccountRows(all, time.Now()).orSay("No service accounts found in project "+project+"."))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func serviceAccountRows(all []api.ServiceAccount, now time.Time) table {
	t := table{header: []string{"NAME", "AGE"}, wide: []string{"USER"}}
	for _, a := range all {
		t.rows = append(t.rows, []string{a.Name, age(now.Sub(a.CreatedAt)), a.User})
	}
	return t
}

func newCreateTokenCommand() *cobra.Command {
	life := duration(time.Hour)
	cmd := &cobra.Command{
		Use:   "token SERVICEACCOUNT",
		Short: "Make a token of a service account and print it",
		Long: `Make a token of a service account of the project and print it, alone, on standard
output. It is good as a password of docker login, with any user name.`,
		Example: "  larder create token ci --duration=720h -n demo",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			token, err := serviceAccountToken(cmd.Context(), c, project, args[0], api.TokenRequest{
				Description: "larder create token", ExpirationSeconds: life.seconds(),
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token.Token)
			return err
		},
	}
	cmd.Flags().Var(&life, "duration", "how long it is good for, as 720h or 30d")
	return cmd
}

func serviceAccountToken(ctx context.Context, c *client, project, name string, request api.TokenRequest) (token api.Token, err error) {
	err = c.call(ctx, http.MethodPost, serviceAccountsPath(project, name, "tokens"), request, &token)
	return token, err
}
