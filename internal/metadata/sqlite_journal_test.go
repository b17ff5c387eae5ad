package metadata

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
)

func TestAFirstStartThatLostItsPowerIsUndoneAndBegunAnew(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "was.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		"PRAGMA cache_size = 1", "PRAGMA cache_spill = 1",
		"CREATE TABLE first (content TEXT)", "DROP TABLE first",
		"BEGIN", "CREATE TABLE half (content BLOB)",
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO half SELECT randomblob(4000) FROM n",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	path := filepath.Join(dir, "metadata.db")
	for _, end := range []string{"", "-journal"} {
		content, err := os.ReadFile(filepath.Join(dir, "was.db"+end))
		if err != nil || len(content) == 0 {
			t.Fatalf("%d bytes of was.db%s: %v", len(content), end, err)
		}
		if err := os.WriteFile(path+end, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path+"-wal", []byte("begun"), 0o600); err != nil {
		t.Fatal(err)
	}
	if version, err := inspectSQLite(t.Context(), path); err != nil || version != 0 {
		t.Errorf("its version is %d: %v", version, err)
	}
	opened, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
}
