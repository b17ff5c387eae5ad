package metadata

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestHotReadsWalkIndexesOnly(t *testing.T) {
	db, _ := opened(t)
	for name, query := range HotQueries() {
		t.Run(name, func(t *testing.T) {
			for _, step := range plan(t, db, query) {
				if strings.HasPrefix(step, "SCAN") || strings.Contains(step, "TEMP B-TREE") {
					t.Errorf("%s is read by: %s", name, step)
				}
			}
		})
	}
}

// plan tells how SQLite goes about a query of two parameters.
func plan(t *testing.T, db *DB, query string) []string {
	t.Helper()
	rows, err := db.store.readers.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var steps []string
	for rows.Next() {
		var (
			id, parent, unused int
			detail             string
		)
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(steps) == 0 {
		t.Fatal("the query has no plan")
	}
	return steps
}

func BenchmarkBlobsGet(b *testing.B) {
	db, _ := opened(b)
	ctx := context.Background()
	if err := db.Projects.Create(ctx, Project{Name: "demo", Kind: Hosted}); err != nil {
		b.Fatal(err)
	}
	var repositories []string
	for i := range 100 {
		repositories = append(repositories, fmt.Sprintf("demo/app-%d", i))
	}
	var all []digest.Digest
	for i := range 200 {
		d := digest.FromString(fmt.Sprint(i))
		all = append(all, d)
		if err := db.Blobs.Put(ctx, Blob{Digest: d, Key: "sha256/" + d.Encoded(), Size: 1 << 20}, repositories...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := db.Blobs.Get(ctx, repositories[i%len(repositories)], all[i%len(all)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
