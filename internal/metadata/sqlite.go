package metadata

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	// The driver registers itself as "sqlite".
	_ "modernc.org/sqlite"
)

//go:embed migrations/sqlite/*.sql
var sqliteFiles embed.FS

// logSizeLimit is what the write-ahead log is cut to after it has been larger, in
// bytes.
const logSizeLimit = 64 << 20

// sqliteDialect has no transient errors: there is one writer, readers do not block
// it, and SQLite itself waits for locks.
func sqliteDialect() dialect {
	never := func(error) bool { return false }
	return dialect{
		amongJSON: "IN (SELECT value FROM json_each(%s))",
		clock:     "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
		versions:  "goose_db_version",
		transient: never,
		neverHeld: never,
	}
}

// Open opens the SQLite database in a file, which is created if it is not there,
// and brings its schema up to date. Before it changes the schema of a database that
// is in use, it copies it to a file beside it, named path.before-VERSION after the
// first version to come.
//
// A file that is no database, is not Larder's, is damaged, or was written by a newer
// larder is an error that says what to do, and is left as it is. The caller sees to
// it that no other process opens the file.
func Open(ctx context.Context, path string) (*DB, error) {
	migrations, err := fs.Sub(sqliteFiles, "migrations/sqlite")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded migrations: %w", err)
	}
	return openSQLite(ctx, path, migrations)
}

func openSQLite(ctx context.Context, file string, migrations fs.FS) (*DB, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("opening metadata %s: %w", file, err)
	}
	if err := syncLog(path); err != nil {
		return nil, fmt.Errorf("opening metadata %s: %w", path, err)
	}
	version, err := inspectSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening metadata %s: %w", path, err)
	}
	s, err := connectSQLite(path)
	if err != nil {
		return nil, fmt.Errorf("opening metadata %s: %w", path, err)
	}
	if err := migrateSQLite(ctx, s.writer, path, version, migrations); err != nil {
		return nil, fmt.Errorf("opening metadata %s: %w", path, errors.Join(err, s.close()))
	}
	db, err := newDB(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("opening metadata %s: %w", path, errors.Join(err, s.close()))
	}
	return db, nil
}

// syncLog makes durable what a process has left in the write-ahead log that was killed
// before it synced it: whoever sees it from now on may build on it.
func syncLog(path string) error {
	err := syncPath(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

// connectSQLite makes the two pools. It does not touch the file: a pool connects
// when it is first used.
func connectSQLite(path string) (*store, error) {
	writer, err := sql.Open("sqlite", sqliteURI(path, url.Values{
		"_txlock":       {"immediate"}, // a transaction never has to be given up halfway
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"}, // in WAL mode, NORMAL would lose commits in a power failure
		"_foreign_keys": {"on"},
		"_busy_timeout": {milliseconds(patience)},
		"_dqs":          {"false"},
		"_pragma":       {"journal_size_limit(" + strconv.Itoa(logSizeLimit) + ")"},
	}))
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	writer.SetMaxIdleConns(1)
	readers, err := sql.Open("sqlite", sqliteURI(path, url.Values{
		"mode":          {"rw"}, // readers take part in the write-ahead log's locks
		"_query_only":   {"on"},
		"_busy_timeout": {milliseconds(patience)},
		"_dqs":          {"false"},
	}))
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	// A reader is busy computing, not waiting: a few more than there are processors.
	most := max(4, 2*runtime.GOMAXPROCS(0))
	readers.SetMaxOpenConns(most)
	readers.SetMaxIdleConns(most)
	return &store{dialect: sqliteDialect(), readers: readers, writer: writer, now: time.Now, changes: &Changes{}}, nil
}

func (s *store) close() error {
	return errors.Join(s.readers.Close(), s.writer.Close())
}

// sqliteURI names a file and how to open it (https://www.sqlite.org/uri.html).
func sqliteURI(path string, options url.Values) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: options.Encode()}).String()
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// createPrivate makes an empty file that only its owner can read, since password
// hashes and signing keys go into it; a file that is there is left alone. SQLite
// gives the files that it adds beside it the same permissions.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
