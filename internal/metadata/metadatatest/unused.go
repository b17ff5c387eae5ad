package metadatatest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

func lacks(t *testing.T, err error) metadata.MissingError {
	t.Helper()
	missing, is := errors.AsType[*metadata.MissingError](err)
	if !is {
		t.Fatalf("got the error %v, want a *metadata.MissingError", err)
	}
	return *missing
}

func needs(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b, other := blob("one"), blob("two")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a push that lacks nothing is kept": func(t *testing.T, db *metadata.DB) {
			m := manifest("an index")
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			ok(t, put(t.Context(), db, "demo/app", manifest("a child")))
			ok(t, db.Manifests.Put(t.Context(), metadata.PutManifest{
				Repository: "demo/app", Manifest: m,
				Blobs: []digest.Digest{b.Digest, b.Digest}, Manifests: []digest.Digest{manifest("a child").Digest},
			}))
			ok(t, second(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
		},
		"a push that lacks something is told all of it once, in its order, and leaves nothing": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			ok(t, db.Blobs.Put(t.Context(), other, "demo/other"))
			ok(t, put(t.Context(), db, "demo/other", manifest("elsewhere")))
			want := metadata.MissingError{Blobs: []digest.Digest{other.Digest}, Manifests: []digest.Digest{manifest("elsewhere").Digest, manifest("nowhere").Digest}}
			for i := range 20_000 {
				want.Blobs = append(want.Blobs, digest.Digest(fmt.Sprintf("sha256:%064x", 20_000-i)))
			}
			push := metadata.PutManifest{
				Repository: "demo/app", Manifest: manifest("an index"), Tags: []string{"latest"},
				Blobs: append([]digest.Digest{b.Digest, other.Digest, other.Digest}, want.Blobs...), Manifests: want.Manifests,
			}
			same(t, want, lacks(t, db.Manifests.Put(t.Context(), push)))
			notFound(t, second(db.Manifests.Held(t.Context(), push.Manifest.Digest)))
			same(t, nil, must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "", many)))
		},
		"a blob that is linked and not stored is lacking": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			push := metadata.PutManifest{Repository: "demo/app", Manifest: manifest("one"), Blobs: []digest.Digest{b.Digest}}
			same(t, metadata.MissingError{Blobs: push.Blobs}, lacks(t, db.Manifests.Put(t.Context(), push)))
			push.Repository = "nobody/app"
			same(t, metadata.MissingError{Blobs: push.Blobs}, lacks(t, db.Manifests.Put(t.Context(), push)))
		},
	})
}

// soon is after all that a test does. What it does is after noon, which is past.
func soon() time.Time { return time.Now().Add(time.Hour) }

func uses(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b, other := blob("one"), blob("two")
	both := []digest.Digest{b.Digest, other.Digest}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"links are told page by page, and when they were used": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			ok(t, db.Blobs.Put(t.Context(), other, "demo/app", "demo/other"))
			all := must[[]metadata.BlobLink](t)(db.Blobs.Links(t.Context(), "demo/app", "", many))
			same(t, 2, len(all))
			for _, link := range all {
				same(t, true, link.UsedAt.After(noon) && link.UsedAt.Before(soon()))
			}
			same(t, all[:1], must[[]metadata.BlobLink](t)(db.Blobs.Links(t.Context(), "demo/app", "", 1)))
			same(t, all[1:], must[[]metadata.BlobLink](t)(db.Blobs.Links(t.Context(), "demo/app", all[0].Digest, many)))
			same(t, nil, must[[]metadata.BlobLink](t)(db.Blobs.Links(t.Context(), "demo/never", "", many)))
		},
		"what was not used for long is unlinked, in that repository alone": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app", "demo/other"))
			ok(t, db.Blobs.Put(t.Context(), other, "demo/other"))
			same(t, nil, must[[]digest.Digest](t)(db.Blobs.UnlinkUnused(t.Context(), "demo/app", both, noon)))
			same(t, nil, must[[]digest.Digest](t)(db.Blobs.UnlinkUnused(t.Context(), "demo/never", both, soon())))
			same(t, both[:1], must[[]digest.Digest](t)(db.Blobs.UnlinkUnused(t.Context(), "demo/app", both, soon())))
			same(t, false, must[bool](t)(db.Blobs.Linked(t.Context(), "demo/app", b.Digest)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "demo/other", b.Digest)))
		},
		"a blob that its repository does not link cannot be used": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			ok(t, db.Blobs.Use(t.Context(), "demo/app", b.Digest))
			notFound(t, db.Blobs.Use(t.Context(), "demo/other", b.Digest))
		},
		"the manifests of a repository are told page by page, with their bytes": func(t *testing.T, db *metadata.DB) {
			m, second := manifest("one"), manifest("two")
			if m.Digest > second.Digest {
				m, second = second, m
			}
			ok(t, put(t.Context(), db, "demo/app", second))
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, put(t.Context(), db, "demo/other", manifest("three")))
			same(t, []oci.Manifest{m.Manifest, second.Manifest}, must[[]oci.Manifest](t)(db.Manifests.List(t.Context(), "demo/app", "", many)))
			same(t, []oci.Manifest{m.Manifest}, must[[]oci.Manifest](t)(db.Manifests.List(t.Context(), "demo/app", "", 1)))
			same(t, []oci.Manifest{second.Manifest}, must[[]oci.Manifest](t)(db.Manifests.List(t.Context(), "demo/app", m.Digest, many)))
		},
	})
}

func unlinked(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b, other := blob("one"), blob("two")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a blob that nothing links is forgotten once it is old enough": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b))
			same(t, false, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, noon)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Held(t.Context(), b.Digest)))
			same(t, true, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, soon())))
			notFound(t, second(db.Blobs.Held(t.Context(), b.Digest)))
			same(t, false, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, soon())))
		},
		"a blob that is linked, or stored again under another key, is not forgotten": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			same(t, false, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, soon())))
			ok(t, db.Blobs.Unlink(t.Context(), "demo/app", b.Digest))
			moved := b
			moved.Key = "elsewhere"
			ok(t, db.Blobs.Put(t.Context(), moved))
			same(t, false, must[bool](t)(db.Blobs.ForgetUnlinked(t.Context(), b, soon())))
			same(t, moved, must[metadata.Blob](t)(db.Blobs.Held(t.Context(), b.Digest)))
		},
		"blobs are told with how much they are linked": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b))
			ok(t, db.Blobs.Put(t.Context(), other, "demo/app", "demo/other"))
			got := must[[]metadata.BlobUse](t)(db.Blobs.Uses(t.Context(), []digest.Digest{b.Digest, other.Digest, blob("never").Digest}))
			links := map[metadata.Blob]int{}
			for _, use := range got {
				links[use.Blob] = use.Links
				same(t, true, use.StoredAt.After(noon) && use.StoredAt.Before(soon()))
			}
			same(t, map[metadata.Blob]int{b: 0, other: 2}, links)
		},
		"blobs that nothing links are told page by page": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b))
			ok(t, db.Blobs.Put(t.Context(), other))
			ok(t, db.Blobs.Put(t.Context(), blob("linked"), "demo/app"))
			all := must[[]metadata.BlobUse](t)(db.Blobs.Unlinked(t.Context(), "", many))
			same(t, 2, len(all))
			same(t, all[:1], must[[]metadata.BlobUse](t)(db.Blobs.Unlinked(t.Context(), "", 1)))
			same(t, all[1:], must[[]metadata.BlobUse](t)(db.Blobs.Unlinked(t.Context(), all[0].Digest, many)))
		},
	})
}

func orphans(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b := blob("one")
	first, second := metadata.Orphan{Key: "z"}, metadata.Orphan{Key: "a"}
	asked := []string{first.Key, b.Key, second.Key, first.Key}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"keys that no row has are orphans": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b))
			same(t, []metadata.Orphan{first, second}, must[[]metadata.Orphan](t)(db.Orphans.Among(t.Context(), asked)))
			same(t, nil, must[[]metadata.Orphan](t)(db.Orphans.Among(t.Context(), []string{b.Key})))
		},
		"an orphan is dated when it is first noted, and anew once it was forgotten": func(t *testing.T, db *metadata.DB) {
			one := func(want time.Time) {
				t.Helper()
				same(t, []metadata.Orphan{{Key: first.Key, SeenAt: want}}, must[[]metadata.Orphan](t)(db.Orphans.Among(t.Context(), []string{first.Key})))
			}
			ok(t, db.Orphans.Note(t.Context(), []metadata.Orphan{first, second}, noon))
			ok(t, db.Orphans.Note(t.Context(), []metadata.Orphan{first}, noon.Add(time.Hour)))
			one(noon)
			ok(t, db.Orphans.ForgetOlder(t.Context(), noon.Add(time.Hour)))
			one(noon)
			ok(t, db.Orphans.ForgetOlder(t.Context(), noon.Add(2*time.Hour)))
			one(time.Time{})
		},
	})
}
