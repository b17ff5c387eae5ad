package metadata_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

func TestSQLitePassesTheSuite(t *testing.T) {
	// A schema is copied sooner than it is made.
	template := filepath.Join(t.TempDir(), "metadata.db")
	if err := openSQLite(t, template).Close(); err != nil {
		t.Fatal(err)
	}
	empty, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	databases := make(map[string]string)
	metadatatest.Run(t, func(t *testing.T) *metadata.DB {
		if databases[t.Name()] == "" {
			databases[t.Name()] = filepath.Join(t.TempDir(), "metadata.db")
			if err := os.WriteFile(databases[t.Name()], empty, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return openSQLite(t, databases[t.Name()])
	})
}

// openSQLite opens a database until the test ends.
func openSQLite(t *testing.T, path string) *metadata.DB {
	t.Helper()
	db, err := metadata.Open(t.Context(), path)
	return untilEnd(t, db, err)
}
