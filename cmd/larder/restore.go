package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/backup"
	"github.com/larder-registry/larder/internal/server"
)

func newRestoreCommand() *cobra.Command {
	var from, blobs string
	var takeOver bool
	cmd := &cobra.Command{
		Use:   "restore --from FILE|DIR",
		Short: "Restore a registry from a backup",
		Long: `Restore a registry from a backup into an empty data folder, or the empty database
and storage that the configuration names. No server may use them. Every blob is
compared with its digest; what is missing is named, and what needs it. The exit status
is 0 only if nothing that people pushed is missing.

Without --blobs the blobs are in the storage already, as after the loss of a database.
Object storage then still belongs to that database: --take-over gives it to the restored
one. It is not for a trial: a server of the old database that runs nevertheless loses its
blobs.`,
		Example: `  larder restore --from /backup/ --blobs /backup/blobs --data /var/lib/larder
  larder restore --from /backup/metadata-20260301T120000Z.dump --config /etc/larder/larder.yaml`,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := server.BindStoreFlags(cmd.Flags())
	cmd.Flags().StringVar(&from, "from", "", "the dump of the metadata, or the folder with it; of several the newest")
	cmd.Flags().StringVar(&blobs, "blobs", "", "the blobs: a `DIR` or s3://bucket/prefix?endpoint=URL")
	cmd.Flags().BoolVar(&takeOver, "take-over", false, "make the storage the restored registry's, though it is another database's")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if from == "" {
			return usagef("say where from: larder restore --from FILE")
		}
		config, err := server.Load(flags, os.LookupEnv, server.ReadFile)
		if err != nil {
			return &usageError{err}
		}
		return restore(cmd, config, from, blobs, takeOver)
	}
	return cmd
}

func restore(cmd *cobra.Command, config server.Config, from, blobs string, takeOver bool) error {
	dump, err := backup.OpenDump(from)
	if err != nil {
		return err
	}
	var archive backup.Archive // nil: none
	switch {
	case strings.HasPrefix(blobs, "s3://"):
		archive, err = openObjectArchive(cmd.Context(), blobs)
	case blobs != "":
		archive, err = backup.ReadFolder(blobs)
	}
	if err != nil {
		return err
	}
	shown := newProgress(cmd.ErrOrStderr())
	restored, err := server.Restore(cmd.Context(), config, dump, archive, takeOver, shown.blobs)
	shown.wait()
	if err != nil {
		return err
	}
	return tellRestored(cmd.OutOrStdout(), dump, restored)
}

// tellRestored lists what is missing, and fails where that is lost for good.
func tellRestored(out io.Writer, dump *backup.Dump, restored server.Restored) error {
	_, err := fmt.Fprintf(out, "Restored %s: %d repositories, %d manifests; copied %d blobs of %d bytes, and %d were there already.\n",
		dump.Path, dump.Summary.Rows["repositories"], dump.Summary.Rows["manifests"], restored.Copied, restored.Bytes, restored.Held)
	if err != nil {
		return err
	}
	hosted, cached := 0, 0
	for _, a := range restored.Affected {
		kind := "cached, fetched again when it is pulled"
		if a.Hosted {
			kind = "lost"
			hosted++
		} else {
			cached++
		}
		_, _ = fmt.Fprintf(out, "missing: %s of %d bytes (%s): %s\n", a.Digest, a.Size, kind, printable(a.Why))
		for _, p := range a.Places {
			_, _ = fmt.Fprintf(out, "  %s: %s\n", p.Repository, tagList(p.Tags))
		}
	}
	if cached > 0 {
		_, _ = fmt.Fprintf(out, "%d cached blobs are missing, which is no loss: they are fetched again.\n", cached)
	}
	if hosted > 0 {
		return fmt.Errorf("%d blobs that people pushed are missing: push the images named above again; everything else is restored", hosted)
	}
	return nil
}

func tagList(tags []string) string {
	if len(tags) == 0 {
		return "no tag needs it"
	}
	return strings.Join(tags, ", ")
}
