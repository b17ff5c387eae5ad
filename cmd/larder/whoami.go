package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newWhoamiCommand() *cobra.Command {
	var token, server, context bool
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Print who the server takes you for",
		Example: `  larder whoami
  larder whoami -t | docker login registry.example.com -u unused --password-stdin`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, login, err := currentClient()
			if err != nil {
				return err
			}
			for _, part := range []struct {
				shown bool
				text  string
			}{{token, login.Token}, {server, login.Server}, {context, login.name()}} {
				if part.shown {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), part.text)
					return err
				}
			}
			var user api.User
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/whoami", nil, &user); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), user.Name)
			return err
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&token, "show-token", "t", false, "print the access token of this login instead; the server is not asked")
	flags.BoolVar(&server, "show-server", false, "print the server's URL instead")
	flags.BoolVarP(&context, "show-context", "c", false, "print the name of this login among those that are kept instead")
	return cmd
}
