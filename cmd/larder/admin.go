package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

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
	var stdin bool
	cmd := &cobra.Command{
		Use:   "reset-password",
		Short: "Give the user admin a new password",
		Long: `Give the user admin a new password, made and printed here unless --password-stdin
gives one. The server must be stopped. It works on the data that the server's own
flags, environment and configuration file name.`,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := server.BindStoreFlags(cmd.Flags())
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the new password from standard input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		password := ""
		if stdin {
			var err error
			if password, err = readLine(cmd.InOrStdin()); err != nil {
				return err
			}
		}
		config, err := loadStores(flags)
		if err != nil {
			return err
		}
		made, err := resetPassword(cmd.Context(), config, password)
		if err != nil {
			return fmt.Errorf("resetting the password: %w", err)
		}
		if made != "" {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The new password of admin is %s\n", made)
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "The password of admin was changed.")
		return err
	}
	return cmd
}

// loadStores reads where a server that is stopped keeps its data.
func loadStores(flags *server.Flags) (server.Config, error) {
	config, err := server.Load(flags, os.LookupEnv, server.ReadFile)
	if err != nil {
		return server.Config{}, &usageError{err}
	}
	return config, server.CheckData(config)
}

// namesStores tells whether a command line means the data of a server that is stopped.
func namesStores(cmd *cobra.Command) bool {
	return slices.ContainsFunc([]string{"data", "config", "database", "storage"}, cmd.Flags().Changed)
}

func resetPassword(ctx context.Context, config server.Config, password string) (made string, err error) {
	stores, err := server.OpenMetadata(ctx, config)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	db := stores.DB
	a, err := authn.New(authn.Config{Users: db.Users, Tokens: db.Tokens, Keys: db.Keys, Issuer: "larder"})
	if err != nil {
		return "", err
	}
	made, err = a.SetPassword(ctx, authn.UserAdmin, password)
	if errors.Is(err, metadata.ErrNotFound) {
		return "", fmt.Errorf("%s has no user admin yet: start it once with larder serve, which makes one", config.Data)
	}
	return made, err
}
