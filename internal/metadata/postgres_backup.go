package metadata

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// PostgresBackup begins the names of the dumps that are taken before the schema of a
// PostgreSQL database is changed; the first version to come ends them.
const PostgresBackup = "metadata.dump.before-"

// backUpPostgres dumps a database of that schema version into a file of the folder
// and returns the file's name. A dump of that name is older and is replaced.
func backUpPostgres(ctx context.Context, db *sql.DB, folder string, version int64) (string, error) {
	backup := filepath.Join(folder, fmt.Sprintf("%s%d", PostgresBackup, version+1))
	partial := backup + ".partial"
	err := dumpPostgres(ctx, db, partial, version)
	if err == nil {
		err = os.Rename(partial, backup)
	}
	if err == nil {
		err = syncPath(folder)
	}
	if err != nil {
		_ = os.Remove(partial)
		return "", fmt.Errorf("backing up to %s before its schema is changed: %w; nothing was changed: see that there is space in that folder, and start again", backup, err)
	}
	return backup, nil
}

func dumpPostgres(ctx context.Context, db *sql.DB, path string, version int64) (err error) {
	if err := createPrivate(path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	tx, err := (&store{dialect: postgresDialect(), readers: db}).snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	buffered := bufio.NewWriter(file)
	if _, err := dump(ctx, tx, version, buffered); err != nil {
		return err
	}
	return errors.Join(buffered.Flush(), file.Sync())
}
