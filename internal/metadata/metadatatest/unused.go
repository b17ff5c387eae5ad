package metadatatest

import (
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func unused(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b := blob("one")
	// What the database does now is before soon and not before noon, which is past.
	soon := time.Now().Add(time.Hour)
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a blob that nothing links is forgotten once it is old enough": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b))
			same(t, false, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, noon)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Held(t.Context(), b.Digest)))
			same(t, true, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, soon)))
			notFound(t, second(db.Blobs.Held(t.Context(), b.Digest)))
			same(t, false, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, soon)))
		},
		"a blob that is linked, or stored again under another key, is not forgotten": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			same(t, false, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, soon)))
			ok(t, db.Blobs.Unlink(t.Context(), "demo/app", b.Digest))
			moved := b
			moved.Key = "elsewhere"
			ok(t, db.Blobs.Put(t.Context(), moved))
			same(t, false, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, soon)))
			same(t, moved, must[metadata.Blob](t)(db.Blobs.Held(t.Context(), b.Digest)))
		},
	})
}
