package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func newLogoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Revoke the access token of this login and forget it",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  runLogout,
	}
}

// runLogout forgets the token even when the server cannot be told: whoever logs
// out wants it gone from this machine.
func runLogout(cmd *cobra.Command, _ []string) error {
	c, login, err := currentClient()
	if err != nil {
		return err
	}
	revoked := c.call(cmd.Context(), http.MethodDelete, "/api/v1/tokens/current", nil, nil)
	login.Token = ""
	all, err := readContexts()
	if err != nil {
		return err
	}
	all.keep(login)
	if err := all.write(); err != nil {
		return err
	}
	refused, ok := errors.AsType[*answerError](revoked)
	if revoked != nil && (!ok || refused.status != http.StatusUnauthorized) {
		return fmt.Errorf("the token was forgotten here, but not revoked, so it stays good until it expires: %w", revoked)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Logged %s out of %s.\n", login.User, login.Server)
	return err
}
