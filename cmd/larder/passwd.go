package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newPasswdCommand() *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use:   "passwd [NAME]",
		Short: "Change a password: your own, or another user's",
		Long: `Change your own password, for which the old one is asked, or give another user a new
one, which administrators may: it is made and printed once unless --password-stdin
gives one. With --password-stdin your own takes two lines, the old one and the new one.`,
		Example: `  larder passwd
  larder passwd alice`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, login, err := currentClient()
			if err != nil {
				return err
			}
			user, change := login.User, api.PasswordChange{}
			if len(args) == 1 {
				user = args[0]
			}
			switch {
			case user == login.User:
				change, err = ownPassword(cmd, user, stdin)
			case stdin:
				change.Password, err = readLine(cmd.InOrStdin())
			}
			if err != nil {
				return err
			}
			return setPassword(cmd, c, user, change)
		},
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return cmd
}

func setPassword(cmd *cobra.Command, c *client, user string, change api.PasswordChange) error {
	var made api.NewPassword
	if err := c.call(cmd.Context(), http.MethodPut, userPath(user)+"/password", change, &made); err != nil {
		return err
	}
	if made.Password != "" {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "The new password of %s is %s\n", user, made.Password)
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "The password of %s was changed.\n", user)
	return err
}

// ownPassword asks for the old password and twice for the new one, or reads a line of
// standard input for each.
func ownPassword(cmd *cobra.Command, user string, stdin bool) (change api.PasswordChange, err error) {
	if stdin {
		text, err := io.ReadAll(io.LimitReader(bufio.NewReader(cmd.InOrStdin()), 2*maxSecret))
		if err != nil {
			return change, fmt.Errorf("reading the passwords from standard input: %w", err)
		}
		old, password, two := strings.Cut(strings.TrimRight(string(text), "\r\n"), "\n")
		old = strings.TrimRight(old, "\r")
		if !two || old == "" || password == "" || strings.ContainsAny(password, "\r\n") {
			return change, usagef("standard input holds two lines: the old password, and the new one")
		}
		return api.PasswordChange{Old: old, Password: password}, nil
	}
	in, ok := terminal(cmd)
	if !ok {
		return change, usagef("there is no terminal to ask for the passwords: add --password-stdin")
	}
	if change.Old, err = readHidden(cmd, in, fmt.Sprintf("Old password of %s: ", user)); err != nil {
		return change, err
	}
	if change.Password, err = readHidden(cmd, in, "New password: "); err != nil {
		return change, err
	}
	again, err := readHidden(cmd, in, "New password again: ")
	if err == nil && again != change.Password {
		err = errors.New("the new password was not typed twice alike: nothing was changed")
	}
	return change, err
}
