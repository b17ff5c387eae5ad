package metadata

import (
	"context"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
)

// BenchmarkQuota is what a push of a new blob reads of its project before it is sent: with
// a quota all blobs of the project are measured, otherwise none.
func BenchmarkQuota(b *testing.B) {
	const quota = 1 << 50
	for _, test := range []struct {
		name  string
		quota int64
		blobs int
	}{
		{"no quota, 10000 blobs", 0, 10_000}, {"no blobs", quota, 0}, {"1000 blobs", quota, 1000}, {"10000 blobs", quota, 10_000},
	} {
		b.Run(test.name, func(b *testing.B) {
			db, _ := opened(b)
			ctx := context.Background()
			if err := db.Projects.Create(ctx, Project{Name: "demo", Kind: Hosted, Quota: test.quota}); err != nil {
				b.Fatal(err)
			}
			if err := db.Repositories.Create(ctx, "demo/app"); err != nil {
				b.Fatal(err)
			}
			for _, statement := range []string{
				"INSERT INTO blobs (digest, storage_key, size) SELECT printf('sha256:%064d', n), printf('k%d', n), 1000 FROM numbers",
				"INSERT INTO blob_links (repository_id, digest) SELECT r.id, printf('sha256:%064d', n) FROM numbers, repositories r",
			} {
				_, err := db.store.change(ctx, fmt.Sprintf("WITH RECURSIVE numbers (n) AS (SELECT 1 WHERE %d > 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < %d) ", test.blobs, test.blobs)+statement)
				if err != nil {
					b.Fatal(err)
				}
			}
			d := digest.FromString("a new one")
			b.ReportAllocs()
			for b.Loop() {
				p, err := db.Projects.Get(ctx, "demo")
				if err != nil || p.Quota == 0 && test.quota != 0 {
					b.Fatal(p, err)
				}
				if p.Quota == 0 {
					continue
				}
				holds, err := db.Projects.HoldsBlob(ctx, "demo", d)
				if err != nil || holds {
					b.Fatal(holds, err)
				}
				if used, err := db.Projects.Used(ctx, "demo"); err != nil || used != int64(test.blobs)*1000 {
					b.Fatal(used, err)
				}
			}
		})
	}
}
