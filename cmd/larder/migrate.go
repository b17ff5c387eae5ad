package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/server"
)

func newMigrateCommand() *cobra.Command {
	var target server.Target
	var quick bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move a registry to another database or storage",
		Long: `Move a registry that no server uses from the database and storage that its
configuration names to others: one of them, or both. Everything is checked where it
came to, row by row and byte by byte, and nothing is removed from where it was. What
was broken off goes on when it is begun again.

A database URL with a password goes into the environment variable LARDER_TO_DATABASE,
or into a file. The keys of S3 are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.`,
		Example: `  larder migrate --data /var/lib/larder --to-database-file /etc/larder/database --to-storage 's3://bucket?endpoint=https://s3.example.com'
  larder migrate --config /etc/larder/larder.yaml --to-database sqlite --to-storage files`,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := server.BindStoreFlags(cmd.Flags())
	cmd.Flags().StringVar(&target.Database, "to-database", "", "move the metadata to the PostgreSQL at `URL`, or to sqlite: a file in the data folder")
	cmd.Flags().StringVar(&target.DatabaseFile, "to-database-file", "", "move the metadata to the database whose URL a `FILE` holds")
	cmd.Flags().StringVar(&target.Storage, "to-storage", "", "move the blobs to the S3 at `URL`, or to files: the data folder")
	cmd.Flags().BoolVar(&quick, "quick", false, "do not read the blobs back from the new storage")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := loadStores(flags)
		if err != nil {
			return err
		}
		to, err := server.LoadTarget(from, target, os.LookupEnv)
		if err != nil {
			return &usageError{err}
		}
		return migrate(cmd, from, to, quick)
	}
	return cmd
}

func migrate(cmd *cobra.Command, from, to server.Config, quick bool) error {
	shown := newProgress(cmd.ErrOrStderr())
	done, err := server.Migrate(cmd.Context(), server.Migration{From: from, To: to, Quick: quick, Progress: shown.blobs})
	shown.wait()
	out := cmd.OutOrStdout()
	for _, l := range append(done.Moved.Lost, done.ReadBack.Lost...) {
		_, _ = fmt.Fprintf(out, "not whole: %s of %d bytes: %s\n", l.Digest, l.Size, printable(l.Why))
	}
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return tellMigrated(out, to, done)
}

// tellMigrated says what was moved and what the configuration has to say from now on.
func tellMigrated(out io.Writer, to server.Config, done server.Migrated) error {
	if done.Storage {
		_, _ = fmt.Fprintf(out, "Moved %d blobs of %d bytes; %d were there already. %d were read back and are whole.\n",
			done.Moved.Copied, done.Moved.Bytes, done.Moved.Held, done.ReadBack.Copied)
	}
	if done.Database {
		_, _ = fmt.Fprintf(out, "Moved %d rows of metadata, and compared them.\n", done.Rows)
	}
	_, _ = fmt.Fprint(out, "Before you start the server, put this into its configuration:\n\n")
	switch {
	case done.Database && to.Database == "":
		_, _ = fmt.Fprintln(out, "  # no database and no databaseFile: SQLite in the data folder")
	case done.Database:
		_, _ = fmt.Fprintln(out, "  databaseFile: FILE    # that holds the URL; or the environment variable LARDER_DATABASE")
	}
	switch {
	case done.Storage && to.Storage == nil:
		_, _ = fmt.Fprintln(out, "  # no storage: files in the data folder")
	case done.Storage:
		_, _ = fmt.Fprintf(out, "  storage: %s\n", to.Storage)
	}
	_, err := fmt.Fprint(out, "\nWhat was moved is also where it was. Remove that once the server has run for a while.\n")
	return err
}
