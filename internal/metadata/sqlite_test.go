package metadata_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

func TestSQLitePassesTheSuite(t *testing.T) {
	var (
		mu      sync.Mutex
		folders = make(map[string]string)
	)
	metadatatest.Run(t, func(t *testing.T) *metadata.DB {
		mu.Lock()
		defer mu.Unlock()
		if folders[t.Name()] == "" {
			folders[t.Name()] = t.TempDir()
		}
		db, err := metadata.Open(t.Context(), filepath.Join(folders[t.Name()], "metadata.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		return db
	})
}
