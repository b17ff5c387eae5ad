package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// loginLife is how long a login of Docker or Podman is good for.
const loginLife = 30 * 24 * time.Hour

func newRegistryCommand() *cobra.Command {
	return newVerbCommand("registry", "do", "Log Docker and Podman in, tell the registry's host, and what is left to pull",
		newRegistryLoginCommand(), newRegistryInfoCommand(), newRegistryLimitsCommand())
}

func newRegistryInfoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Print the registry's host, which image names begin with",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			host, err := registryHost(cmd.Context(), c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), host)
			return err
		},
	}
	acceptAsOC(cmd, "public", "the registry has one host for all")
	acceptAsOC(cmd, "internal", "the registry has one host for all")
	return cmd
}

// acceptAsOC adds a flag that oc has and that changes nothing here.
func acceptAsOC(cmd *cobra.Command, name, why string) {
	cmd.Flags().Bool(name, false, "accepted as oc does, and changes nothing: "+why)
}

func registryHost(ctx context.Context, c *client) (string, error) {
	var registry api.Registry
	err := c.call(ctx, http.MethodGet, "/api/v1/registry", nil, &registry)
	return registry.Host, err
}

func newRegistryLoginCommand() *cobra.Command {
	var to, host, account string
	life := duration(loginLife)
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log Docker and Podman in to the registry",
		Long: `Write a login into the file where Docker and Podman look for it: --to FILE, or
$REGISTRY_AUTH_FILE, or ~/.docker/config.json. What else is in the file stays. The login
is an access token of yours, or of a service account of the project.`,
		Example: `  larder registry login
  larder registry login -z ci -n demo --to auth.json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			file, err := authFilePath(to)
			if err != nil {
				return err
			}
			if host == "" {
				if host, err = registryHost(cmd.Context(), c); err != nil {
					return err
				}
			}
			logins, err := readAuthFile(file) // before a token is made that could not be kept
			if err != nil {
				return err
			}
			token, err := registryToken(cmd, c, account, api.TokenRequest{
				Description: "larder registry login", ExpirationSeconds: life.seconds(),
			})
			if err != nil {
				return err
			}
			return keepLogin(cmd, logins, file, host, token)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&to, "to", "", "the file to write")
	flags.StringVar(&host, "registry", "", "the registry's host, if it is reached by another name")
	flags.StringVarP(&account, "service-account", "z", "", "log in as this service account of the project")
	flags.Var(&life, "expires", "how long the login is good for, as 30d; a year at most")
	acceptAsOC(cmd, "skip-check", "the login is tried by nobody before it is saved")
	return cmd
}

func keepLogin(cmd *cobra.Command, logins *authFile, file, host string, token api.Token) error {
	if helper := logins.helper(host); helper != "" {
		warn(cmd, "%s has Docker ask its credential helper %q: if Docker is not logged in, type larder whoami -t | docker login -u unused --password-stdin %s", file, helper, host)
	}
	logins.set(host, token)
	if err := logins.write(file); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "Saved a login to %s as %s in %s, good until %s.\n", host, token.User, file, token.ExpiresAt.Local().Format(time.RFC1123))
	return err
}

// registryToken makes a token to keep elsewhere: of a service account where one is named,
// otherwise of the caller.
func registryToken(cmd *cobra.Command, c *client, account string, request api.TokenRequest) (token api.Token, err error) {
	if account == "" {
		err = c.call(cmd.Context(), http.MethodPost, tokensPath, request, &token)
		return token, err
	}
	project, err := namespace(cmd)
	if err != nil {
		return token, err
	}
	return serviceAccountToken(cmd.Context(), c, project, account, request)
}

// authFilePath is where Docker and Podman keep logins. A link is followed, so that it is
// not replaced by a file.
func authFilePath(to string) (string, error) {
	for _, file := range []string{to, os.Getenv("REGISTRY_AUTH_FILE")} {
		if file != "" {
			return followed(file), nil
		}
	}
	folder := os.Getenv("DOCKER_CONFIG")
	if folder == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("looking for Docker's logins: %w; name the file with --to", err)
		}
		folder = filepath.Join(home, ".docker")
	}
	return followed(filepath.Join(folder, "config.json")), nil
}

func followed(file string) string {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		return target
	}
	return file
}
