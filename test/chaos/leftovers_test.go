package chaos_test

import (
	"database/sql"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // registers itself as "sqlite"
)

// leftovers are files in a data folder that nothing leads to.
type leftovers struct{ spools, uploads, blobs int }

// leftBehind compares the files with what the metadata of the running server names.
func leftBehind(t *testing.T, data string) leftovers {
	t.Helper()
	db := openMetadata(t, data, "ro")
	defer func() { _ = db.Close() }()
	keys := map[string]bool{}
	for _, key := range column(t, db, "SELECT storage_key FROM blobs") {
		keys[key] = true
	}
	saved := map[string]bool{}
	for _, state := range column(t, db, "SELECT state FROM uploads WHERE state IS NOT NULL") {
		saved[uploadFile(t, state)] = true
	}
	return leftovers{
		spools:  unnamed(t, filepath.Join(data, "spool"), nil),
		uploads: unnamed(t, filepath.Join(data, "uploads"), saved),
		blobs:   unnamed(t, filepath.Join(data, "blobs"), keys),
	}
}

// openMetadata opens the database of a running server as another program would.
func openMetadata(t *testing.T, data, mode string) *sql.DB {
	t.Helper()
	at := url.URL{Scheme: "file", Path: filepath.Join(data, "metadata.db"), RawQuery: "mode=" + mode + "&_pragma=busy_timeout(10000)"}
	db, err := sql.Open("sqlite", at.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// uploadFile is the name of the file that a saved upload goes on in, "" before its
// first byte.
func uploadFile(t *testing.T, state string) string {
	t.Helper()
	var row struct{ Blob []byte }
	var saved struct{ File string }
	err := json.Unmarshal([]byte(state), &row)
	if err == nil && len(row.Blob) > 0 {
		err = json.Unmarshal(row.Blob, &saved)
	}
	if err != nil {
		t.Fatalf("reading the state of an upload: %v", err)
	}
	return saved.File
}

// unnamed counts the files below a folder whose relative path is not among the names.
func unnamed(t *testing.T, folder string, names map[string]bool) (count int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		short, err := filepath.Rel(folder, name)
		if err == nil && !names[filepath.ToSlash(short)] {
			count++
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return count
}
