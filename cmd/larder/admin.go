package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/server"
)

func newAdminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Work on a data folder whose server is stopped",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("say what to do: larder admin reset-password")
			}
			return usagef("unknown command %q: larder admin knows reset-password", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newResetPasswordCommand())
	return cmd
}

func newResetPasswordCommand() *cobra.Command {
	var data string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "reset-password",
		Short: "Give the user admin a new password",
		Long: `Give the user admin a new password, made and printed here unless --password-stdin
gives one. The server must be stopped.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			password := ""
			if stdin {
				if password, err = readLine(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			made, err := resetPassword(cmd.Context(), data, password)
			if err != nil {
				return fmt.Errorf("resetting the password: %w", err)
			}
			if made != "" {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "The new password of admin is %s\n", made)
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "The password of admin was changed.")
			return err
		},
	}
	folder := os.Getenv("LARDER_DATA")
	if folder == "" {
		folder = "./larder-data"
	}
	cmd.Flags().StringVar(&data, "data", folder, "the server's data folder")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the new password from standard input")
	return cmd
}

func resetPassword(ctx context.Context, folder, password string) (made string, err error) {
	// Opening a data folder makes one where there is none.
	if _, err := os.Stat(filepath.Join(folder, "metadata.db")); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s holds no Larder data: give the server's data folder with --data DIR", folder)
	}
	data, err := server.OpenData(folder)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	db, err := metadata.Open(ctx, data.Path("metadata.db"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	a, err := authn.New(authn.Config{Users: db.Users, Tokens: db.Tokens, Keys: db.Keys, Issuer: "larder"})
	if err != nil {
		return "", err
	}
	made, err = a.SetPassword(ctx, authn.UserAdmin, password)
	if errors.Is(err, metadata.ErrNotFound) {
		return "", fmt.Errorf("%s has no user admin yet: start it once with larder serve --data %s, which makes one", folder, folder)
	}
	return made, err
}
