package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newUpstreamCredentialCommand() *cobra.Command {
	return newVerbCommand("credential", "do", "Add, list and remove the credentials that upstreams are asked with",
		newAddCredentialCommand(), newListCredentialsCommand(), newGetCredentialCommand(), newRemoveCredentialCommand())
}

// credentialsPath is where the credentials of a project are, or those that serve everybody,
// or one of them.
func credentialsPath(project string, name ...string) string {
	path := "/api/v1/credentials"
	if project != "" {
		path = projectPath(project) + "/credentials"
	}
	for _, n := range name {
		path += "/" + url.PathEscape(n)
	}
	return path
}

// credentialFlags say which credential is meant.
type credentialFlags struct{ username, project string }

func (f *credentialFlags) bind(cmd *cobra.Command) {
	bindCredentialProject(cmd, &f.project)
	cmd.Flags().StringVarP(&f.username, "username", "u", "", "what the credential logs in as at the upstream")
}

// path is where the credential of an upstream is.
func (f *credentialFlags) path(upstream string) (string, error) {
	if f.username == "" {
		return "", usagef("whose credential is meant: add --username NAME")
	}
	return credentialsPath(f.project, upstream, f.username), nil
}

// named is the credential in a sentence.
func (f *credentialFlags) named(upstream string) string {
	text := fmt.Sprintf("credential %q of upstream %s", f.username, upstream)
	if f.project != "" {
		text += " for project " + f.project
	}
	return text
}

func bindCredentialProject(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "project", "", "the project whose own the credential is; without it, it serves everybody")
}

func newAddCredentialCommand() *cobra.Command {
	var flags credentialFlags
	var stdin bool
	cmd := &cobra.Command{
		Use:   "add UPSTREAM --username NAME [--project PROJECT] [--password-stdin]",
		Short: "Add a credential, or change its password",
		Long: `Add a credential for an upstream, or change the password of one that is there. It is used
from the next request on, without a restart.

With --project it is the project's own, and takes the project's admins to add it: it pays
for what the project's service accounts pull, and those who may push to the project, before
any other credential does; and the private images that only it can read are for them alone.
Without, it serves everybody, after the credentials of the configuration.

Give it an access token of the upstream's that may only read, rather than a password. It is
kept encrypted, and never shown again.`,
		Example: `  larder upstream credential add docker-hub --username acme-ci --password-stdin < token.txt
  larder upstream credential add docker-hub --project demo --username demo-ci --password-stdin < token.txt`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := flags.path(args[0])
			if err != nil {
				return err
			}
			c, login, err := currentClient()
			if err != nil {
				return err
			}
			warnInTheClear(cmd, login.Server, "password")
			password, err := readUpstreamPassword(cmd, flags.username, args[0], stdin)
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodPut, path, api.UpstreamPassword{Password: password}, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is in use\n", flags.named(args[0]))
			return err
		},
	}
	flags.bind(cmd)
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func readUpstreamPassword(cmd *cobra.Command, username, upstream string, stdin bool) (string, error) {
	if stdin {
		return readLine(cmd.InOrStdin())
	}
	in, ok := terminal(cmd)
	if !ok {
		return "", usagef("no password is given, and there is no terminal to ask for it: add --password-stdin")
	}
	return readHidden(cmd, in, fmt.Sprintf("Password of %s at %s: ", username, upstream))
}

func newListCredentialsCommand() *cobra.Command {
	output, project := formatTable, ""
	cmd := &cobra.Command{
		Use:   "list [--project PROJECT]",
		Short: "List the credentials that serve everybody, or a project's own, without their passwords",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var all api.UpstreamCredentialList
			if err := c.call(cmd.Context(), http.MethodGet, credentialsPath(project), nil, &all); err != nil {
				return err
			}
			return newListing(cmd, output, "credential").print(all, credentialRows(all.Items, time.Now()).orSay("There are no credentials."))
		},
	}
	bindCredentialProject(cmd, &project)
	addOutputFlag(cmd, &output)
	return cmd
}

func newGetCredentialCommand() *cobra.Command {
	var flags credentialFlags
	output := formatTable
	cmd := &cobra.Command{
		Use:   "get UPSTREAM --username NAME [--project PROJECT]",
		Short: "Show a credential, without its password",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := flags.path(args[0])
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var one api.UpstreamCredential
			if err := c.call(cmd.Context(), http.MethodGet, path, nil, &one); err != nil {
				return err
			}
			return newListing(cmd, output, "credential").print(one, credentialRows([]api.UpstreamCredential{one}, time.Now()))
		},
	}
	flags.bind(cmd)
	addOutputFlag(cmd, &output)
	return cmd
}

func credentialRows(all []api.UpstreamCredential, now time.Time) table {
	t := table{header: []string{"USERNAME", "UPSTREAM", "STATE", "ADDED BY", "AGE"}, wide: []string{"CHANGED"}}
	for _, c := range all {
		state, by, since, changed := c.State, cmp.Or(c.Creator, "-"), "-", "-"
		if c.Configured {
			by = "configuration"
		}
		if c.RestsUntil != nil {
			state += " until " + clock(c.RestsUntil, now)
		}
		if c.CreatedAt != nil && c.UpdatedAt != nil {
			since, changed = age(now.Sub(*c.CreatedAt)), age(now.Sub(*c.UpdatedAt))+" ago"
		}
		t.rows = append(t.rows, []string{c.Username, c.Upstream, state, by, since, changed})
	}
	return t
}

func newRemoveCredentialCommand() *cobra.Command {
	var flags credentialFlags
	cmd := &cobra.Command{
		Use:   "remove UPSTREAM --username NAME [--project PROJECT]",
		Short: "Remove a credential",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := flags.path(args[0])
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodDelete, path, nil, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s removed\n", flags.named(args[0]))
			return err
		},
	}
	flags.bind(cmd)
	return cmd
}
