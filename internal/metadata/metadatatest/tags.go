package metadatatest

import (
	"fmt"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func tags(t *testing.T, open func(t *testing.T) *metadata.DB) {
	m, other := manifest("one"), manifest("two")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a tag is set to a manifest of its repository": func(t *testing.T, db *metadata.DB) {
			before := time.Now().Truncate(time.Microsecond)
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, db.Tags.Set(t.Context(), "demo/app", "latest", m.Digest, time.Time{}, "alice"))
			got := must[metadata.Tag](t)(db.Tags.Get(t.Context(), "demo/app", "latest"))
			if got.UpdatedAt.Before(before) || got.UpdatedAt.After(time.Now()) {
				t.Fatalf("the tag was updated at %s, which is not between %s and now", got.UpdatedAt, before)
			}
			same(t, metadata.Tag{Name: "latest", Digest: m.Digest, UpdatedAt: got.UpdatedAt}, got)
		},
		"a tag cannot be set to what its repository does not link": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "latest"))
			ok(t, put(t.Context(), db, "demo/other", other))
			notFound(t, db.Tags.Set(t.Context(), "demo/app", "latest", other.Digest, time.Time{}, "alice"))
			notFound(t, db.Tags.Set(t.Context(), "demo/never", "latest", m.Digest, time.Time{}, "alice"))
			same(t, m.Digest, must[metadata.Tag](t)(db.Tags.Get(t.Context(), "demo/app", "latest")).Digest)
		},
		"a tag moves, and the manifest that it leaves stays": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "latest"))
			ok(t, put(t.Context(), db, "demo/app", other, "latest"))
			same(t, other.Digest, must[metadata.Tag](t)(db.Tags.Get(t.Context(), "demo/app", "latest")).Digest)
			ok(t, second(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
			ok(t, db.Manifests.Delete(t.Context(), "demo/app", m.Digest, nil))
			same(t, []string{"latest"}, must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "", many)))
		},
		"a check is remembered and changes nothing else": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Manifests.Put(t.Context(), metadata.PutManifest{Repository: "hub/app", Manifest: m, Tags: []string{"1"}, CheckedAt: noon}))
			want := must[metadata.Tag](t)(db.Tags.Get(t.Context(), "hub/app", "1"))
			same(t, noon, want.CheckedAt)
			ok(t, db.Tags.Checked(t.Context(), "hub/app", "1", noon.Add(time.Minute)))
			want.CheckedAt = noon.Add(time.Minute)
			same(t, want, must[metadata.Tag](t)(db.Tags.Get(t.Context(), "hub/app", "1")))
			notFound(t, db.Tags.Checked(t.Context(), "hub/app", "2", noon))
		},
		"a deleted tag is gone, its manifest is not": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "1", "2"))
			ok(t, db.Tags.Delete(t.Context(), "demo/app", "1"))
			notFound(t, db.Tags.Delete(t.Context(), "demo/app", "1"))
			notFound(t, db.Tags.Delete(t.Context(), "demo/other", "2"))
			notFound(t, second(db.Tags.Get(t.Context(), "demo/app", "1")))
			ok(t, second(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
			same(t, []string{"2"}, must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "", many)))
		},
		"tags are listed in pages, bytewise by name": func(t *testing.T, db *metadata.DB) {
			want := []string{"1", "1-rc", "1.0", "10", "A", "_", "a", "aB", "ab"}
			ok(t, put(t.Context(), db, "demo/app", m, "ab", "aB", "a", "_", "A", "10", "1.0", "1-rc", "1"))
			ok(t, put(t.Context(), db, "demo/other", m, "elsewhere"))
			same(t, want, must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "", many)))
			same(t, nil, must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "", 0)))
			same(t, nil, must[[]string](t)(db.Tags.List(t.Context(), "demo/never", "", many)))
			var paged []string
			for last := ""; ; last = paged[len(paged)-1] {
				page := must[[]string](t)(db.Tags.List(t.Context(), "demo/app", last, 2))
				if len(page) == 0 {
					break
				}
				paged = append(paged, page...)
			}
			same(t, want, paged)
			same(t, want[3:4], must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "1.5", 1)))
		},
	})
}

func tagHistory(t *testing.T, open func(t *testing.T) *metadata.DB) {
	m, other := manifest("one"), manifest("two")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"each move of a tag is remembered with who made it": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "latest"))
			ok(t, put(t.Context(), db, "demo/app", m, "latest"))
			ok(t, put(t.Context(), db, "demo/app", other))
			ok(t, db.Tags.Set(t.Context(), "demo/app", "latest", other.Digest, time.Time{}, "bob"))
			ok(t, db.Tags.Delete(t.Context(), "demo/app", "latest"))
			ok(t, db.Tags.Set(t.Context(), "demo/app", "latest", other.Digest, time.Time{}, "carol"))
			got := must[[]metadata.TagMove](t)(db.Tags.History(t.Context(), "demo/app", "latest", many))
			for i := range got {
				if got[i].At.IsZero() {
					t.Errorf("move %d has no time", i)
				}
				got[i].At = time.Time{}
			}
			want := []metadata.TagMove{{Digest: other.Digest, Actor: "carol"}, {}, {Digest: other.Digest, Actor: "bob"}, {Digest: m.Digest, Actor: "alice"}}
			same(t, want, got)
		},
		"the last hundred moves are remembered, of each tag": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "still"))
			ok(t, put(t.Context(), db, "demo/app", other))
			for i := range 103 {
				target := []metadata.Manifest{m, other}[i%2]
				ok(t, db.Tags.Set(t.Context(), "demo/app", "latest", target.Digest, time.Time{}, fmt.Sprint(i)))
			}
			got := must[[]metadata.TagMove](t)(db.Tags.History(t.Context(), "demo/app", "latest", many))
			same(t, 100, len(got))
			same(t, "102", got[0].Actor)
			same(t, "3", got[99].Actor)
			same(t, 1, len(must[[]metadata.TagMove](t)(db.Tags.History(t.Context(), "demo/app", "still", many))))
		},
	})
}
