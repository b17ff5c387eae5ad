package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
)

const (
	// sqliteMagic begins every SQLite 3 database (https://www.sqlite.org/fileformat.html).
	sqliteMagic = "SQLite format 3\x00"
	// larderApplication is the application_id that the first migration sets.
	larderApplication = 0x4C415244
	// checkedSize is the largest database that is checked page by page at each
	// start, in bytes: that much is read in seconds, from a slow disk too.
	checkedSize = 1 << 30
)

const restoreAdvice = "nothing was changed: restore the data folder from a backup, or start with another one"

// inspectSQLite looks at a database without changing anything, but for what SQLite has to
// undo after a crash, and tells its schema version, 0 when there is none yet.
func inspectSQLite(ctx context.Context, path string) (int64, error) {
	logSize, err := sizeOf(path + "-wal")
	if err != nil {
		return 0, err
	}
	size, err := sizeOf(path)
	if err != nil {
		return 0, err
	}
	if size == 0 {
		// SQLite would take this for a new database and delete the log.
		if logSize > 0 {
			return 0, fmt.Errorf("it is missing or empty, but its write-ahead log %s-wal is there; %s", path, restoreAdvice)
		}
		return 0, nil
	}
	if err := checkMagic(path); err != nil {
		return 0, err
	}
	undone, err := sizeOf(path + "-journal")
	if err != nil {
		return 0, err
	}
	options := url.Values{"mode": {"ro"}, "_query_only": {"on"}, "_busy_timeout": {milliseconds(patience)}}
	switch {
	case undone > 0:
		// Power was lost during the first start: SQLite undoes what was not committed, for
		// which it has to write, before anything can be read.
		options.Set("mode", "rw")
	case logSize == 0:
		// Without a log to read there is no need for locks, nor for the files that
		// SQLite keeps them in.
		options.Set("immutable", "1")
	}
	db, err := sql.Open("sqlite", sqliteURI(path, options))
	if err != nil {
		return 0, err
	}
	db.SetMaxOpenConns(1)
	version, err := inspectSchema(ctx, db, size)
	return version, errors.Join(err, db.Close())
}

func inspectSchema(ctx context.Context, db *sql.DB, size int64) (int64, error) {
	if err := checkPages(ctx, db, size); err != nil {
		return 0, err
	}
	var application, tables, versioned int64
	err := db.QueryRowContext(ctx, `
		SELECT (SELECT application_id FROM pragma_application_id),
			count(*),
			count(*) FILTER (WHERE name = 'goose_db_version')
		FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`).Scan(&application, &tables, &versioned)
	if err != nil {
		return 0, fmt.Errorf("reading its schema: %w", err)
	}
	// A crash during the first start leaves at most the table of versions.
	if application != larderApplication && tables > versioned {
		return 0, fmt.Errorf("it is a database of another program; nothing was changed: start with another data folder")
	}
	if versioned == 0 {
		return 0, nil
	}
	var version sql.NullInt64
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("reading its schema version: %w", err)
	}
	return version.Int64, nil
}

// checkPages reads the database's structure. Of a large database it reads the
// schema only.
func checkPages(ctx context.Context, db *sql.DB, size int64) error {
	query := "PRAGMA quick_check(1)"
	if size > checkedSize {
		query = "SELECT CASE WHEN count(*) >= 0 THEN 'ok' END FROM sqlite_schema"
	}
	var verdict string
	if err := db.QueryRowContext(ctx, query).Scan(&verdict); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("checking it: %w", err)
		}
		return fmt.Errorf("it is damaged or cannot be read (%w); %s", err, restoreAdvice)
	}
	if verdict != "ok" {
		return fmt.Errorf("it is damaged (%s); %s", verdict, restoreAdvice)
	}
	return nil
}

func checkMagic(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, len(sqliteMagic))
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("reading its header: %w", err)
	}
	if string(head) != sqliteMagic {
		return fmt.Errorf("it is not a SQLite database; %s", restoreAdvice)
	}
	return nil
}

// sizeOf is a file's size in bytes, 0 when there is none.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a file; nothing was changed: start with another data folder", path)
	}
	return info.Size(), nil
}
