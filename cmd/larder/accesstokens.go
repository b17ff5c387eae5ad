package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

const tokensPath = "/api/v1/tokens"

func newCreateAccessTokenCommand() *cobra.Command {
	var (
		request = api.TokenRequest{Scopes: []string{"read"}}
		life    = duration(90 * 24 * time.Hour)
	)
	cmd := &cobra.Command{
		Use:     "accesstoken NAME",
		Aliases: []string{"pat"},
		Short:   "Make an access token of your own and print it once",
		Long: `Make a personal access token and print it, alone, on standard output. It is good as a
password of docker login, with any user name, and for larder login --token. It can do
what you may do, within its scopes and on what it is for.`,
		Example: `  larder create accesstoken laptop --scopes read,write --for demo/app --expires 90d
  larder create accesstoken mirror --for demo --for 'shop/team-*'`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			request.Name, request.ExpirationSeconds = args[0], life.seconds()
			var made api.Token
			if err := c.call(cmd.Context(), http.MethodPost, tokensPath, request, &made); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Access token %q is good until %s. It is not shown again:\n", made.Name, made.ExpiresAt.Local().Format(time.RFC1123))
			_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&request.Scopes, "scopes", request.Scopes, "what it can do: read, write (and read), delete; or admin, all that you may do")
	flags.StringArrayVar(&request.Targets, "for", nil, "a project as demo, a repository as demo/app, or several as demo/team-*; again and again; all by default")
	flags.Var(&life, "expires", "how long it is good for, as 90d or 720h; a year at most")
	flags.StringVar(&request.Description, "description", "", "what it is used for")
	return cmd
}

func newGetAccessTokensCommand() *cobra.Command {
	output, user := formatTable, ""
	cmd := &cobra.Command{
		Use:     "accesstokens",
		Aliases: []string{"accesstoken", "pats"},
		Short:   "List your access tokens, those of logins included",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			all, err := listTokens(cmd.Context(), c, user)
			if err != nil {
				return err
			}
			out := newListing(cmd, output, "accesstoken")
			return out.print(api.TokenList{Items: all}, tokenRows(all, time.Now()).orSay("No access tokens found."))
		},
	}
	addOutputFlag(cmd, &output)
	cmd.Flags().StringVar(&user, "user", "", "list another user's, which administrators may")
	return cmd
}

func listTokens(ctx context.Context, c *client, user string) ([]api.Token, error) {
	query := url.Values{}
	if user != "" {
		query.Set("user", user)
	}
	return listAll(ctx, c, tokensPath, query, func(p api.TokenList) ([]api.Token, string) { return p.Items, p.Next })
}

// tokenRows calls a token without a name, as those of logins are, by its ID.
func tokenRows(all []api.Token, now time.Time) table {
	t := table{header: []string{"NAME", "SCOPES", "FOR", "LAST USED", "EXPIRES"}, wide: []string{"ID", "DESCRIPTION"}}
	for _, token := range all {
		name := token.Name
		if name == "" {
			name = token.ID
		}
		t.rows = append(t.rows, []string{
			name, scopesText(token), targetsText(token), usedText(token, now), age(token.ExpiresAt.Sub(now)), token.ID, token.Description,
		})
	}
	return t
}

func scopesText(token api.Token) string {
	if len(token.Scopes) == 0 {
		return "admin"
	}
	return strings.Join(token.Scopes, ",")
}

func targetsText(token api.Token) string {
	if len(token.Targets) == 0 {
		return "everything"
	}
	return strings.Join(token.Targets, ",")
}

func usedText(token api.Token, now time.Time) string {
	if token.UsedAt == nil {
		return "never"
	}
	return age(now.Sub(*token.UsedAt)) + " ago"
}

// findToken finds an access token of the caller's own by its name or its ID.
func findToken(ctx context.Context, c *client, name string) (api.Token, error) {
	all, err := listTokens(ctx, c, "")
	if err != nil {
		return api.Token{}, err
	}
	for _, token := range all {
		if token.Name == name || token.ID == name {
			return token, nil
		}
	}
	return api.Token{}, fmt.Errorf("you have no access token %q: larder get accesstokens lists those that you have", name)
}

func newDescribeAccessTokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "accesstoken NAME",
		Aliases: []string{"pat"},
		Short:   "Tell all about one of your access tokens, but for the secret",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			token, err := findToken(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			now := time.Now()
			for _, line := range [][2]string{
				{"Name", token.Name}, {"ID", token.ID}, {"User", token.User}, {"Description", token.Description},
				{"Scopes", scopesText(token)}, {"For", targetsText(token)},
				{"Created", token.CreatedAt.Local().Format(time.RFC1123)}, {"Expires", token.ExpiresAt.Local().Format(time.RFC1123)},
				{"Last used", usedText(token, now)},
			} {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-13s%s\n", line[0]+":", printable(line[1])); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newEditAccessTokenCommand() *cobra.Command {
	var name, description string
	cmd := &cobra.Command{
		Use:     "accesstoken NAME",
		Aliases: []string{"pat"},
		Short:   "Change the name or the description of one of your access tokens",
		Example: "  larder edit accesstoken laptop --description 'the old one'",
		Args:    usageArgs(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&name, "name", "", "the new name")
	cmd.Flags().StringVar(&description, "description", "", "the new description")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var change api.TokenDescription
		if cmd.Flags().Changed("name") {
			change.Name = &name
		}
		if cmd.Flags().Changed("description") {
			change.Description = &description
		}
		if change == (api.TokenDescription{}) {
			return usagef("say what to change: add --name or --description")
		}
		c, _, err := currentClient()
		if err != nil {
			return err
		}
		token, err := findToken(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		if err := c.call(cmd.Context(), http.MethodPatch, tokensPath+"/"+token.ID, change, nil); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "accesstoken %q changed\n", args[0])
		return err
	}
	return cmd
}

func newDeleteAccessTokenCommand() *cobra.Command {
	return newDeleteNamedCommand("accesstoken", "Revoke one of your access tokens, by its name or its ID", []string{"accesstokens", "pat"},
		func(cmd *cobra.Command, name string) (string, error) {
			c, _, err := currentClient()
			if err != nil {
				return "", err
			}
			token, err := findToken(cmd.Context(), c, name)
			return tokensPath + "/" + token.ID, err
		})
}
