package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/backup"
	"github.com/larder-registry/larder/internal/blob/s3"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/server"
)

// backupOptions are what larder backup is told.
type backupOptions struct {
	to    string // file or folder of the dump
	blobs string // folder or s3:// URL of the archive; empty: none
}

func newBackupCommand() *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup --to FILE|DIR",
		Short: "Back up the registry while it serves",
		Long: `Back up the registry in use while it serves: all metadata as it is at one moment,
and, with --blobs, the blobs that it names. Blobs that are there from earlier backups
are not copied again; collection and eviction wait meanwhile.

With --data, --config, --database or --storage it backs up what a stopped server left.

The dump holds password hashes and signing keys: guard it as you guard the registry.`,
		Example: `  larder backup --to /backup/
  larder backup --to /backup/ --blobs /backup/blobs
  larder backup --to /backup/ --blobs 's3://bucket/prefix?endpoint=https://s3.example.com'`,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := server.BindStoreFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.to == "" {
			return usagef("say where to: larder backup --to FILE or --to DIR/")
		}
		if namesStores(cmd) {
			return backUpStopped(cmd, o, flags)
		}
		return backUpServer(cmd, o)
	}
	cmd.Flags().StringVar(&o.to, "to", "", "write the metadata to `FILE`, or to a new file in a folder")
	cmd.Flags().StringVar(&o.blobs, "blobs", "", "copy the blobs to a `DIR` or to s3://bucket/prefix?endpoint=URL, with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment")
	return cmd
}

// backUpServer backs up the server of the login in use.
func backUpServer(cmd *cobra.Command, o backupOptions) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	from := newBackupClient(c)
	defer from.close()
	if o.blobs == "" {
		return second(o.dump(cmd, func(w io.Writer) error { return from.dump(cmd.Context(), w) }))
	}
	archive, err := openArchive(cmd.Context(), o.blobs)
	if err != nil {
		return err
	}
	err = from.holding(cmd, func(ctx context.Context) error {
		dump, err := o.dump(cmd, func(w io.Writer) error { return from.dump(ctx, w) })
		if err != nil {
			return err
		}
		return o.copyBlobs(ctx, cmd, dump, from, archive)
	})
	return errors.Join(err, closeArchive(archive))
}

// backUpStopped backs up what a server that is stopped left. Others may use the same
// database and storage.
func backUpStopped(cmd *cobra.Command, o backupOptions, flags *server.Flags) (err error) {
	config, err := loadStores(flags)
	if err != nil {
		return err
	}
	stores, err := server.OpenStores(cmd.Context(), config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	write := func(w io.Writer) error { return second(stores.DB.Dump(cmd.Context(), w)) }
	if o.blobs == "" {
		return second(o.dump(cmd, write))
	}
	archive, err := openArchive(cmd.Context(), o.blobs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeArchive(archive)) }()
	return stores.DB.Leases.Hold(cmd.Context(), gc.BackupLease(), time.Minute, func(ctx context.Context) error {
		dump, err := o.dump(cmd, write)
		if err != nil {
			return err
		}
		return o.copyBlobs(ctx, cmd, dump, backup.FromStore(stores.Blobs), archive)
	})
}

// second is the error of a call whose answer is not needed.
func second[T any](_ T, err error) error { return err }

// dump makes the file of the metadata, which write fills.
func (o backupOptions) dump(cmd *cobra.Command, write func(io.Writer) error) (*backup.Dump, error) {
	path, err := backup.NewDumpPath(o.to, time.Now())
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", o.to, err)
	}
	dump, err := backup.WriteDump(path, write)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "The metadata is in %s, with %d manifests in %d repositories.\n",
		dump.Path, dump.Summary.Rows["manifests"], dump.Summary.Rows["repositories"])
	return dump, err
}

func (o backupOptions) copyBlobs(ctx context.Context, cmd *cobra.Command, dump *backup.Dump, from backup.Source, to backup.Archive) error {
	shown := newProgress(cmd.ErrOrStderr())
	report, err := backup.SaveBlobs(ctx, dump, from, to, shown.blobs)
	shown.wait()
	if err != nil {
		return fmt.Errorf("copying blobs to %s: %w; what was copied is kept, so that the next backup goes on from there", withoutQuery(o.blobs), err)
	}
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintf(out, "Copied %d blobs of %d bytes to %s; %d were there already.\n", report.Copied, report.Bytes, withoutQuery(o.blobs), report.Held); err != nil {
		return err
	}
	if len(report.Lost) == 0 {
		return nil
	}
	for _, l := range report.Lost {
		_, _ = fmt.Fprintf(out, "missing: %s of %d bytes: %s\n", l.Digest, l.Size, printable(l.Why))
	}
	return fmt.Errorf("%d blobs are not in the backup, because the registry does not have them whole: larder fsck says more", len(report.Lost))
}

// blobs is a backup.Progress.
func (p *progress) blobs(title string, total int) func() { return p.bar(title, total).increment }

// openArchive opens where the blobs of backups are kept, to write to it.
func openArchive(ctx context.Context, place string) (backup.Archive, error) {
	if strings.HasPrefix(place, "s3://") {
		return openObjectArchive(ctx, place)
	}
	return backup.OpenFolder(ctx, place)
}

func openObjectArchive(ctx context.Context, place string) (backup.Archive, error) {
	config, err := s3.ParseURL(place)
	if err != nil {
		return nil, &usageError{err}
	}
	config.AccessKey, config.SecretKey = os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if config.AccessKey == "" || config.SecretKey == "" {
		return nil, usagef("--blobs %s needs keys: set the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", withoutQuery(place))
	}
	return s3.OpenArchive(ctx, config)
}

func closeArchive(a backup.Archive) error {
	if c, ok := a.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// withoutQuery names a place in a line that a person reads.
func withoutQuery(place string) string {
	if strings.HasPrefix(place, "s3://") {
		place, _, _ = strings.Cut(place, "?")
	}
	return place
}
