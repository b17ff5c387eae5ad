package metadatatest

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

func evictions(t *testing.T, open func(t *testing.T) *metadata.DB) {
	m, other, b, shared := manifest("one"), manifest("two"), blob("one"), blob("shared")
	later := time.Now().Add(time.Hour)
	evict := func(t *testing.T, db *metadata.DB, repository string, until time.Time) bool {
		t.Helper()
		return must[bool](t)(db.Manifests.Evict(t.Context(), metadata.Eviction{
			Repository: repository, Manifests: []digest.Digest{m.Digest}, Blobs: []digest.Digest{b.Digest}, UsedUntil: until,
		}))
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"manifests go with their tags and blobs, from one repository": func(t *testing.T, db *metadata.DB) {
			for _, repository := range []string{"hub/app", "hub/copy"} {
				ok(t, put(t.Context(), db, repository, m, "latest"))
				ok(t, put(t.Context(), db, repository, other, "next"))
				ok(t, db.Blobs.Put(t.Context(), b, repository))
			}
			same(t, true, evict(t, db, "hub/app", later))
			notFound(t, second(db.Manifests.Get(t.Context(), "hub/app", m.Digest)))
			same(t, other.Manifest, must[oci.Manifest](t)(db.Manifests.Get(t.Context(), "hub/app", other.Digest)))
			same(t, []string{"next"}, must[[]string](t)(db.Tags.List(t.Context(), "hub/app", "", many)))
			notFound(t, second(db.Blobs.Get(t.Context(), "hub/app", b.Digest)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "hub/copy", b.Digest)))
			same(t, m.Digest, must[metadata.Tag](t)(db.Tags.Get(t.Context(), "hub/copy", "latest")).Digest)
			same(t, true, evict(t, db, "hub/copy", later))
			notFound(t, second(db.Manifests.Held(t.Context(), m.Digest)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Held(t.Context(), b.Digest)))
		},
		"what was used since, what people pushed, and what is not there stays": func(t *testing.T, db *metadata.DB) {
			for _, repository := range []string{"hub/app", "demo/app"} {
				ok(t, put(t.Context(), db, repository, m, "latest"))
				ok(t, db.Blobs.Put(t.Context(), b, repository))
			}
			same(t, false, evict(t, db, "demo/app", later))
			same(t, false, evict(t, db, "hub/never", later))
			same(t, false, evict(t, db, "hub/app", noon))
			same(t, false, evict(t, db, "hub/app", time.Time{}))
			ok(t, db.Manifests.Pulled(t.Context(), []metadata.Pull{{Repository: "hub/app", Digest: m.Digest, At: later}}))
			same(t, false, evict(t, db, "hub/app", later.Add(-time.Minute)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "hub/app", b.Digest)))
			same(t, true, evict(t, db, "hub/app", later))
		},
		"cached is what no hosted project links": func(t *testing.T, db *metadata.DB) {
			same(t, int64(0), must[int64](t)(db.Blobs.CachedSize(t.Context())))
			ok(t, db.Blobs.Put(t.Context(), b, "hub/app", "hub/copy"))
			ok(t, db.Blobs.Put(t.Context(), shared, "hub/app", "demo/app"))
			ok(t, db.Blobs.Put(t.Context(), blob("nobody's")))
			same(t, b.Size, must[int64](t)(db.Blobs.CachedSize(t.Context())))
		},
		"which blobs only one repository links": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "hub/app"))
			ok(t, db.Blobs.Put(t.Context(), shared, "hub/app", "demo/app"))
			asked := []digest.Digest{b.Digest, shared.Digest, digest.FromString("unknown")}
			same(t, []metadata.Blob{b}, must[[]metadata.Blob](t)(db.Blobs.CachedOnly(t.Context(), "hub/app", asked)))
			same(t, nil, must[[]metadata.Blob](t)(db.Blobs.CachedOnly(t.Context(), "demo/app", asked)))
			same(t, nil, must[[]metadata.Blob](t)(db.Blobs.CachedOnly(t.Context(), "hub/app", nil)))
		},
	})
}
