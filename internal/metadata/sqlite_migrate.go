package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
)

// migrateSQLite brings the schema from the given version to the newest, after a
// backup when there is something to lose.
func migrateSQLite(ctx context.Context, db *sql.DB, path string, version int64, migrations fs.FS) error {
	provider, err := newProvider(goose.DialectSQLite3, db, migrations)
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	if version > newest {
		return fmt.Errorf("%w (%s.before-VERSION)", newerSchema(version, newest), path)
	}
	if version == newest {
		return nil
	}
	backup := ""
	if version == 0 {
		if err := createPrivate(path); err != nil {
			return fmt.Errorf("creating it: %w", err)
		}
	} else if backup, err = backUpSQLite(ctx, db, path, version+1); err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		if backup != "" {
			return fmt.Errorf("bringing its schema from version %d to %d: %w; it is as it was in %s", version, newest, err, backup)
		}
		return fmt.Errorf("making its schema: %w", err)
	}
	return nil
}

// backUpSQLite copies the database to a file beside it and returns the file's name.
// A copy of that name is older and is replaced.
func backUpSQLite(ctx context.Context, db *sql.DB, path string, next int64) (string, error) {
	backup := fmt.Sprintf("%s.before-%d", path, next)
	partial := backup + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("removing an unfinished backup: %w", err)
	}
	if err := createPrivate(partial); err != nil {
		return "", fmt.Errorf("creating the backup: %w", err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", partial); err != nil {
		return "", errors.Join(fmt.Errorf("backing up to %s: %w", backup, err), os.Remove(partial))
	}
	if err := syncPath(partial); err != nil {
		return "", fmt.Errorf("backing up to %s: %w", backup, err)
	}
	if err := os.Rename(partial, backup); err != nil {
		return "", fmt.Errorf("backing up to %s: %w", backup, err)
	}
	if err := syncPath(filepath.Dir(backup)); err != nil {
		return "", fmt.Errorf("backing up to %s: %w", backup, err)
	}
	return backup, nil
}

// syncPath makes a file or the entries of a folder durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
