package metadatatest

import (
	"context"
	"database/sql"
	"testing"

	_ "modernc.org/sqlite" // registers itself as "sqlite"
)

// ManyProjects adds hosted projects to the SQLite database in a file, in one transaction:
// p00001/app, p00002/app and so on, each with one repository.
func ManyProjects(t *testing.T, file string, count int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	const numbers = `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) `
	for _, statement := range []string{
		numbers + `INSERT INTO projects (name, kind, description, creator, created_at)
			SELECT printf('p%05d', n), 'hosted', '', 'somebody', 1777896000000000 FROM numbers`,
		numbers + `INSERT INTO repositories (name, project, created_at)
			SELECT printf('p%05d/app', n), printf('p%05d', n), 1777896000000000 FROM numbers`,
	} {
		_, err := tx.ExecContext(ctx, statement, count)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
