package metadata

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// VersionTable is the table of PostgreSQL's schema version.
const VersionTable = versionTable

// OpenPostgresWith is OpenPostgres with more migrations than the embedded ones.
func OpenPostgresWith(t *testing.T, databaseURL string, more map[string]string) (*DB, error) {
	t.Helper()
	return openPostgres(t.Context(), databaseURL, withMigrations(t, postgresFiles, "migrations/postgres", more))
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
