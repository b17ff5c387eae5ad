package metadata

import (
	"database/sql"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// opened is a database in a new folder, and the file it is in.
func opened(t testing.TB) (*DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metadata.db")
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, path
}

// closed is the file of a database that holds a blob and 400 repositories, so that
// it has pages in plenty.
func closed(t *testing.T) string {
	t.Helper()
	db, path := opened(t)
	ctx := t.Context()
	if err := db.Projects.Create(ctx, Project{Name: "demo", Kind: Hosted}); err != nil {
		t.Fatal(err)
	}
	var repositories []string
	for range 400 {
		repositories = append(repositories, "demo/"+strings.Repeat("x", len(repositories)/2+1))
	}
	if err := db.Blobs.Put(ctx, Blob{Digest: digest.FromString("x"), Key: "x", Size: 1}, repositories...); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func values[T any](t *testing.T, db *sql.DB, query string) []T {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		var one T
		if err := rows.Scan(&one); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}

// migrations are the embedded ones and more.
func migrations(t *testing.T, more map[string]string) fs.FS {
	t.Helper()
	return withMigrations(t, sqliteFiles, "migrations/sqlite", more)
}

// overwriteTable puts noise on the root page of a table.
func overwriteTable(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	page := values[int64](t, db, "SELECT rootpage FROM sqlite_schema WHERE name = 'repositories'")[0]
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	size := int64(binary.BigEndian.Uint16(read(t, path)[16:]))
	overwrite(t, path, (page-1)*size, size)
}

func overwrite(t *testing.T, path string, from, count int64) {
	t.Helper()
	content := read(t, path)
	for i := from; i < from+count; i++ {
		content[i] ^= 0x5a
	}
	write(t, path, content)
}

func execute(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// contents are the files of a folder with their bytes.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range entries {
		all[e.Name()] = ""
		if !e.IsDir() {
			all[e.Name()] = string(read(t, filepath.Join(folder, e.Name())))
		}
	}
	return all
}

func names(files map[string]string) []string {
	var all []string
	for name := range files {
		all = append(all, name)
	}
	return all
}
