package metadata

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// VersionTable is the table of PostgreSQL's schema version.
const VersionTable = versionTable

// Newest is the version of the schema that the embedded migrations make.
func Newest(t *testing.T) int64 {
	t.Helper()
	newest, err := newestVersion()
	if err != nil {
		t.Fatal(err)
	}
	return newest
}

// NextMigration is a migration to the version after the newest one.
func NextMigration(t *testing.T, statements string) map[string]string {
	t.Helper()
	return map[string]string{fmt.Sprintf("%05d_more.sql", Newest(t)+1): statements}
}

// OpenPostgresWith is OpenPostgres with more migrations than the embedded ones.
func OpenPostgresWith(t *testing.T, databaseURL string, more map[string]string) (*DB, error) {
	t.Helper()
	return OpenPostgresIn(t, databaseURL, t.TempDir(), more)
}

// OpenPostgresIn is OpenPostgresWith that says where backups go.
func OpenPostgresIn(t *testing.T, databaseURL, backups string, more map[string]string) (*DB, error) {
	t.Helper()
	return openPostgres(t.Context(), databaseURL, backups, withMigrations(t, postgresFiles, "migrations/postgres", more))
}

// FirstPostgres makes the first version of the schema.
func FirstPostgres(t *testing.T, databaseURL string) {
	t.Helper()
	db, err := openPostgres(t.Context(), databaseURL, t.TempDir(), firstOf(t, postgresFiles, "migrations/postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// firstOf is the first of the embedded migrations of a folder.
func firstOf(t *testing.T, embedded fs.FS, folder string) fs.FS {
	t.Helper()
	const name = "00001_registry.sql"
	text, err := fs.ReadFile(embedded, folder+"/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{name: &fstest.MapFile{Data: text}}
}

// Update runs fn in a transaction of the store's.
func (db *DB) Update(ctx context.Context, fn func(*sql.Tx) error) error {
	return db.store.update(ctx, fn)
}

// Pools are the connections that write and those that read.
func (db *DB) Pools() (writer, readers *sql.DB) {
	return db.store.writer, db.store.readers
}

// withMigrations are the embedded migrations of a folder and more.
func withMigrations(t *testing.T, embedded fs.FS, folder string, more map[string]string) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	names, err := fs.Glob(embedded, folder+"/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(embedded, name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = &fstest.MapFile{Data: text}
	}
	for name, text := range more {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

// HotQueries are those on the way of a pull, each of two parameters.
func HotQueries() map[string]string {
	return map[string]string{
		"a blob":            getBlob,
		"a manifest":        getManifest,
		"a manifest by tag": getManifestByTag,
		"a list of tags": `
			SELECT t.name FROM repositories r JOIN tags t ON t.repository_id = r.id
			WHERE r.name = $1 AND t.name > $2 ORDER BY t.name LIMIT 10`,
	}
}

// FirstDump is a dump that the first version of the schema had made: of the project
// demo with one blob of one byte.
func FirstDump(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "first.db")
	db, err := openSQLite(t.Context(), path, firstOf(t, sqliteFiles, "migrations/sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		"INSERT INTO projects (name, kind, description, creator) VALUES ('demo', 'hosted', '', '')",
		"INSERT INTO blobs (digest, storage_key, size) VALUES ('sha256:" + strings.Repeat("a", 64) + "', 'a', 1)",
	} {
		if _, err := db.store.writer.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	var text bytes.Buffer
	if _, err := db.Dump(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// DumpColumns are all columns that dumps are known to have, each after its table,
// and the tables that they have not, by name.
func DumpColumns() map[string]bool {
	all := map[string]bool{}
	for _, t := range dumpTables() {
		for _, c := range t.names() {
			all[t.name+"."+c] = true
		}
	}
	return all
}

// Columns are those that a query names, but for the tables that are not dumped.
func Columns(t *testing.T, db *DB, query string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, name := range values[string](t, db.store.readers, query) {
		table, _, _ := strings.Cut(name, ".")
		if !slices.Contains(append(undumped(), idTable), table) {
			all[name] = true
		}
	}
	return all
}
