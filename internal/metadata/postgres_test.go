package metadata_test

import (
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

func TestPostgreSQLPassesTheSuite(t *testing.T) {
	metadatatest.Run(t, newPool(t).open)
}

func TestHotReadsOfPostgreSQLWalkIndexesOnly(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	openPostgres(t, databaseURL)
	admin := connected(t, databaseURL)
	// Small tables are read whole even where there is an index.
	admin.exec(t, "SET enable_seqscan = off")
	for name, query := range metadata.HotQueries() {
		t.Run(name, func(t *testing.T) {
			for _, step := range column[string](t, admin, "EXPLAIN "+query, "a", "b") {
				if strings.Contains(step, "Seq Scan") {
					t.Errorf("%s is read by: %s", name, step)
				}
			}
		})
	}
}
