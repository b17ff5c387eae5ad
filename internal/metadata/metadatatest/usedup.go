package metadatatest

import (
	"context"
	"database/sql"
	"testing"

	_ "modernc.org/sqlite" // registers itself as "sqlite"
)

// UseUp lets the SQLite database in a file find no room for an action, such as
// "DELETE ON blobs", until free is called: a table whose numbers are used up is full.
func UseUp(t *testing.T, file, action string) (free func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	exec := func(statement string) {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	exec("CREATE TABLE IF NOT EXISTS used_up (id INTEGER PRIMARY KEY AUTOINCREMENT)")
	exec("INSERT OR IGNORE INTO used_up VALUES (9223372036854775807)")
	exec("CREATE TRIGGER refuse BEFORE " + action + " BEGIN INSERT INTO used_up (id) VALUES (NULL); END")
	return func() { exec("DROP TRIGGER refuse") }
}
