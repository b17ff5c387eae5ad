package metadatatest

import (
	"fmt"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func blobs(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b := blob("one")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a blob comes back as it was put, after reopening too": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app", "hub/app"))
			ok(t, db.Close())
			db = open(t)
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "demo/app", b.Digest)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "hub/app", b.Digest)))
		},
		"a blob may be put without a repository": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Held(t.Context(), b.Digest)))
		},
		"a blob stored again has its last key": func(t *testing.T, db *metadata.DB) {
			moved := b
			moved.Key = "elsewhere"
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			ok(t, db.Blobs.Put(t.Context(), moved))
			same(t, moved, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "demo/app", b.Digest)))
		},
		"a blob put into a project that does not exist leaves nothing": func(t *testing.T, db *metadata.DB) {
			notFound(t, db.Blobs.Put(t.Context(), b, "demo/app", "nobody/app"))
			notFound(t, second(db.Blobs.Held(t.Context(), b.Digest)))
			same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), "demo/app")))
		},
		"a blob may have 8 EiB less a byte": func(t *testing.T, db *metadata.DB) {
			vast := metadata.Blob{Digest: b.Digest, Key: "vast", Size: 1<<63 - 1}
			ok(t, db.Blobs.Put(t.Context(), vast))
			same(t, vast, must[metadata.Blob](t)(db.Blobs.Held(t.Context(), b.Digest)))
		},
	})
}

func blobLinks(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b := blob("one")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a blob is readable only where it is linked": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			ok(t, db.Repositories.Create(t.Context(), "demo/other"))
			notFound(t, second(db.Blobs.Get(t.Context(), "demo/other", b.Digest)))
			same(t, false, must[bool](t)(db.Blobs.Linked(t.Context(), "demo/other", b.Digest)))
			ok(t, db.Blobs.Link(t.Context(), "demo/other", b.Digest))
			ok(t, db.Blobs.Link(t.Context(), "demo/other", b.Digest))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "demo/other", b.Digest)))
			same(t, true, must[bool](t)(db.Blobs.Linked(t.Context(), "demo/other", b.Digest)))
		},
		"a blob that is not stored cannot be linked": func(t *testing.T, db *metadata.DB) {
			notFound(t, db.Blobs.Link(t.Context(), "demo/app", b.Digest))
			same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), "demo/app")))
		},
		"an unlinked blob stays stored, and readable elsewhere": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app", "demo/copy"))
			ok(t, db.Blobs.Unlink(t.Context(), "demo/app", b.Digest))
			notFound(t, db.Blobs.Unlink(t.Context(), "demo/app", b.Digest))
			notFound(t, db.Blobs.Unlink(t.Context(), "demo/never", b.Digest))
			notFound(t, second(db.Blobs.Get(t.Context(), "demo/app", b.Digest)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "demo/copy", b.Digest)))
		},
		"a damaged blob becomes readable again where it was linked once it is stored again": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			ok(t, db.Repositories.Create(t.Context(), "demo/other"))
			same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			notFound(t, second(db.Blobs.Get(t.Context(), "demo/app", b.Digest)))
			notFound(t, second(db.Blobs.Held(t.Context(), b.Digest)))
			same(t, true, must[bool](t)(db.Blobs.Linked(t.Context(), "demo/app", b.Digest)))
			again := b
			again.Key = "again"
			ok(t, db.Blobs.Put(t.Context(), again))
			same(t, again, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "demo/app", b.Digest)))
			notFound(t, second(db.Blobs.Get(t.Context(), "demo/other", b.Digest)))
		},
	})
}

func uploads(t *testing.T, open func(t *testing.T) *metadata.DB) {
	u := metadata.Upload{ID: "u1", Repository: "nobody/yet", CreatedAt: noon, UpdatedAt: noon}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"an upload is saved and found again, after reopening too": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Uploads.Create(t.Context(), u))
			same(t, u, must[metadata.Upload](t)(db.Uploads.Get(t.Context(), "nobody/yet", "u1")))
			saved := u
			saved.Offset, saved.State, saved.UpdatedAt = 1<<40, []byte{0, 1, 0xff}, noon.Add(time.Minute)
			ok(t, db.Uploads.Save(t.Context(), saved))
			ok(t, db.Close())
			same(t, saved, must[metadata.Upload](t)(open(t).Uploads.Get(t.Context(), "nobody/yet", "u1")))
		},
		"an upload's ID is given once": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Uploads.Create(t.Context(), u))
			alreadyThere(t, db.Uploads.Create(t.Context(), u))
		},
		"an upload belongs to its repository": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Uploads.Create(t.Context(), u))
			notFound(t, second(db.Uploads.Get(t.Context(), "demo/app", "u1")))
			stolen := u
			stolen.Repository = "demo/app"
			notFound(t, db.Uploads.Save(t.Context(), stolen))
		},
		"an upload that was deleted cannot be saved": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Uploads.Create(t.Context(), u))
			ok(t, db.Uploads.Delete(t.Context(), "u1"))
			ok(t, db.Uploads.Delete(t.Context(), "u1"))
			notFound(t, db.Uploads.Save(t.Context(), u))
			notFound(t, second(db.Uploads.Get(t.Context(), "nobody/yet", "u1")))
		},
		"old uploads are told, the oldest first": func(t *testing.T, db *metadata.DB) {
			var all []metadata.Upload
			for i := range 4 {
				one := u
				one.ID, one.UpdatedAt = fmt.Sprint(9-i), noon.Add(time.Duration(i)*time.Hour)
				ok(t, db.Uploads.Create(t.Context(), one))
				all = append(all, one)
			}
			same(t, all[:2], must[[]metadata.Upload](t)(db.Uploads.OlderThan(t.Context(), noon.Add(2*time.Hour), many)))
			same(t, all[:1], must[[]metadata.Upload](t)(db.Uploads.OlderThan(t.Context(), noon.Add(2*time.Hour), 1)))
			same(t, nil, must[[]metadata.Upload](t)(db.Uploads.OlderThan(t.Context(), noon, many)))
		},
	})
}
