package metadata_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/larder-registry/larder/internal/metadata"
)

// openPostgres opens a database until the test ends.
func openPostgres(t testing.TB, databaseURL string) *metadata.DB {
	t.Helper()
	db, err := metadata.OpenPostgres(t.Context(), databaseURL, t.TempDir())
	return untilEnd(t, db, err)
}

// untilEnd is a database that was opened, and is closed when the test ends.
func untilEnd(t testing.TB, db *metadata.DB, err error) *metadata.DB {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// session is a connection beside the store's.
type session struct{ *pgx.Conn }

func connected(t testing.TB, databaseURL string) session {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return session{conn}
}

func (s session) exec(t testing.TB, statements string) {
	t.Helper()
	if _, err := s.Exec(t.Context(), statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// column is the answer to a query for one column.
func column[T any](t testing.TB, s session, query string, args ...any) []T {
	t.Helper()
	rows, err := s.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}
