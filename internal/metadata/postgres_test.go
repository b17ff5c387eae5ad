package metadata_test

import (
	"path"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

func TestPostgreSQLPassesTheSuite(t *testing.T) {
	pg := postgreSQL(t)
	// A copy of a schema is made sooner than a schema.
	template := pg.Database(t)
	if err := openPostgres(t, template).Close(); err != nil {
		t.Fatal(err)
	}
	copied := "TEMPLATE " + path.Base(strings.Split(template, "?")[0])
	databases := make(map[string]string)
	metadatatest.Run(t, func(t *testing.T) *metadata.DB {
		if databases[t.Name()] == "" {
			databases[t.Name()] = pg.Database(t, copied)
		}
		return openPostgres(t, databases[t.Name()])
	})
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
