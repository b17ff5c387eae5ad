package metadatatest

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

func damaged(b metadata.Blob) metadata.DamagedBlob {
	return metadata.DamagedBlob{Blob: b, Reason: "one byte is another", FoundAt: noon}
}

func damagedBlobs(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b, other := blob("one"), blob("two")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a damaged blob is named where a hosted repository links it, after reopening too": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app", "hub/app"))
			same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			ok(t, db.Close())
			db = open(t)
			same(t, damaged(b), must[metadata.DamagedBlob](t)(db.Damaged.Get(t.Context(), "demo/app", b.Digest)))
			notFound(t, second(db.Damaged.Get(t.Context(), "demo/other", b.Digest)))
			same(t, damaged(b), must[metadata.DamagedBlob](t)(db.Damaged.Held(t.Context(), b.Digest)))
			notFound(t, second(db.Damaged.Held(t.Context(), other.Digest)))
			notFound(t, second(db.Blobs.Get(t.Context(), "demo/app", b.Digest)))
			same(t, 1, must[int64](t)(db.Damaged.Count(t.Context())))
		},
		"a damaged blob that only caches link is forgotten": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "hub/app"))
			same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			notFound(t, second(db.Blobs.Held(t.Context(), b.Digest)))
			same(t, nil, must[[]metadata.DamagedBlob](t)(db.Damaged.List(t.Context(), "", many)))
		},
		"a blob that was stored again is damaged no more": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			ok(t, db.Blobs.Put(t.Context(), b))
			same(t, 0, must[int64](t)(db.Damaged.Count(t.Context())))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "demo/app", b.Digest)))
		},
		"a blob that is stored under another key meanwhile stays": func(t *testing.T, db *metadata.DB) {
			moved := b
			moved.Key = "elsewhere"
			ok(t, db.Blobs.Put(t.Context(), moved, "demo/app"))
			same(t, false, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			same(t, moved, must[metadata.Blob](t)(db.Blobs.Get(t.Context(), "demo/app", b.Digest)))
			same(t, 0, must[int64](t)(db.Damaged.Count(t.Context())))
		},
		"a blob that is found damaged again says so": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "demo/app"))
			same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			same(t, false, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			same(t, 1, must[int64](t)(db.Damaged.Count(t.Context())))
		},
		"damaged blobs are told by digest, page by page": func(t *testing.T, db *metadata.DB) {
			first, last := b, other
			if first.Digest > last.Digest {
				first, last = last, first
			}
			for _, one := range []metadata.Blob{last, first} {
				ok(t, db.Blobs.Put(t.Context(), one, "demo/app"))
				same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(one))))
			}
			same(t, []metadata.DamagedBlob{damaged(first)}, must[[]metadata.DamagedBlob](t)(db.Damaged.List(t.Context(), "", 1)))
			same(t, []metadata.DamagedBlob{damaged(last)}, must[[]metadata.DamagedBlob](t)(db.Damaged.List(t.Context(), first.Digest, 1)))
		},
		"hosted links to what is neither stored nor damaged dangle": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "hub/app"))
			same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(b))))
			ok(t, db.Blobs.Put(t.Context(), other, "demo/app", "demo/copy"))
			same(t, nil, must[[]metadata.DanglingLink](t)(db.Blobs.Dangling(t.Context(), metadata.DanglingLink{}, many)))
			same(t, true, must[bool](t)(db.Damaged.Set(t.Context(), damaged(other))))
			same(t, nil, must[[]metadata.DanglingLink](t)(db.Blobs.Dangling(t.Context(), metadata.DanglingLink{}, many)))
		},
	})
}

func verifiedBlobs(t *testing.T, open func(t *testing.T) *metadata.DB) {
	b, other := blob("one"), blob("three")
	unverified := func(t *testing.T, db *metadata.DB, since time.Time) []digest.Digest {
		t.Helper()
		var all []digest.Digest
		for _, found := range must[[]metadata.Blob](t)(db.Blobs.Unverified(t.Context(), since, "", many)) {
			all = append(all, found.Digest)
		}
		return all
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a blob that was verified is not told until it is older than asked for": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b))
			ok(t, db.Blobs.Put(t.Context(), other))
			ok(t, db.Blobs.SetVerified(t.Context(), []metadata.Blob{b}, noon))
			same(t, []digest.Digest{other.Digest}, unverified(t, db, noon))
			same(t, 2, len(unverified(t, db, noon.Add(time.Second))))
			count, bytes, err := db.Blobs.CountUnverified(t.Context(), noon)
			ok(t, err)
			same(t, []int64{1, 5}, []int64{count, bytes})
		},
		"a blob that is stored anew was not verified": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b))
			ok(t, db.Blobs.SetVerified(t.Context(), []metadata.Blob{b}, noon))
			ok(t, db.Blobs.Put(t.Context(), b))
			same(t, []digest.Digest{b.Digest}, unverified(t, db, noon))
		},
		"a blob under another key was not verified": func(t *testing.T, db *metadata.DB) {
			moved := b
			moved.Key = "elsewhere"
			ok(t, db.Blobs.Put(t.Context(), moved))
			ok(t, db.Blobs.SetVerified(t.Context(), []metadata.Blob{b}, noon))
			same(t, []digest.Digest{b.Digest}, unverified(t, db, noon))
		},
		"the sum of no blobs is none": func(t *testing.T, db *metadata.DB) {
			count, bytes, err := db.Blobs.CountUnverified(t.Context(), noon)
			ok(t, err)
			same(t, []int64{0, 0}, []int64{count, bytes})
		},
		"a blob's repositories are told with their kind, page by page": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), b, "hub/app", "demo/app"))
			want := []metadata.Linking{{Repository: "demo/app", Kind: metadata.Hosted}, {Repository: "hub/app", Kind: metadata.Cache}}
			same(t, want, must[[]metadata.Linking](t)(db.Blobs.LinkedBy(t.Context(), b.Digest, "", many)))
			same(t, want[1:], must[[]metadata.Linking](t)(db.Blobs.LinkedBy(t.Context(), b.Digest, "demo/app", 1)))
			same(t, true, must[bool](t)(db.Blobs.LinkedByAny(t.Context(), b.Digest, metadata.Cache)))
			ok(t, db.Blobs.Unlink(t.Context(), "hub/app", b.Digest))
			same(t, false, must[bool](t)(db.Blobs.LinkedByAny(t.Context(), b.Digest, metadata.Cache)))
			same(t, true, must[bool](t)(db.Blobs.LinkedByAny(t.Context(), b.Digest, metadata.Hosted)))
		},
	})
}
