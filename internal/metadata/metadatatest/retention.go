package metadatatest

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

func retentions(t *testing.T, open func(t *testing.T) *metadata.DB) {
	rules := metadata.Retention{Project: "demo", Rules: `{"keepLast":3}`, UpdatedAt: noon, Actor: "alice"}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"the rules of a project are replaced, and there after reopening": func(t *testing.T, db *metadata.DB) {
			notFound(t, second(db.Retentions.Get(t.Context(), "demo")))
			ok(t, db.Retentions.Set(t.Context(), metadata.Retention{Project: "demo", Rules: "{}", UpdatedAt: noon.Add(-time.Hour), Actor: "bob"}))
			ok(t, db.Retentions.Set(t.Context(), rules))
			ok(t, db.Close())
			same(t, rules, must[metadata.Retention](t)(open(t).Retentions.Get(t.Context(), "demo")))
		},
		"a project that does not exist has no rules": func(t *testing.T, db *metadata.DB) {
			notFound(t, db.Retentions.Set(t.Context(), metadata.Retention{Project: "nobody", Rules: "{}", UpdatedAt: noon}))
			notFound(t, db.Retentions.Delete(t.Context(), "nobody"))
		},
		"rules are listed in pages, by project": func(t *testing.T, db *metadata.DB) {
			hub := metadata.Retention{Project: "hub", Rules: "{}", UpdatedAt: noon, Actor: "bob"}
			ok(t, db.Retentions.Set(t.Context(), hub))
			ok(t, db.Retentions.Set(t.Context(), rules))
			same(t, []metadata.Retention{rules, hub}, must[[]metadata.Retention](t)(db.Retentions.List(t.Context(), "", many)))
			same(t, []metadata.Retention{rules}, must[[]metadata.Retention](t)(db.Retentions.List(t.Context(), "", 1)))
			same(t, []metadata.Retention{hub}, must[[]metadata.Retention](t)(db.Retentions.List(t.Context(), "demo", many)))
		},
		"rules are deleted once": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Retentions.Set(t.Context(), rules))
			ok(t, db.Retentions.Delete(t.Context(), "demo"))
			notFound(t, db.Retentions.Delete(t.Context(), "demo"))
			same(t, nil, must[[]metadata.Retention](t)(db.Retentions.List(t.Context(), "", many)))
		},
	})
}

func retiring(t *testing.T, open func(t *testing.T) *metadata.DB) {
	m, other := manifest("one"), manifest("two")
	tag := func(t *testing.T, db *metadata.DB, name string) metadata.Tag {
		return must[metadata.Tag](t)(db.Tags.Get(t.Context(), "demo/app", name))
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a retired tag is gone, and its history says who retired it": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "1", "2"))
			same(t, true, must[bool](t)(db.Tags.Retire(t.Context(), "demo/app", tag(t, db, "1"), "retention")))
			entries := must[[]metadata.Tag](t)(db.Tags.Entries(t.Context(), "demo/app", "", many))
			same(t, []metadata.Tag{tag(t, db, "2")}, entries)
			lost := must[[]metadata.Untagging](t)(db.Manifests.Untagged(t.Context(), "demo/app", "", many))
			same(t, 1, len(lost))
			same(t, m.Digest, lost[0].Digest)
			recent(t, lost[0].At)
			moves := must[[]metadata.TagMove](t)(db.Tags.History(t.Context(), "demo/app", "1", many))
			same(t, 2, len(moves))
			same(t, metadata.TagMove{At: moves[0].At, Actor: "retention"}, moves[0])
			gone := metadata.Tag{Name: "1", Digest: m.Digest, UpdatedAt: entries[0].UpdatedAt}
			same(t, false, must[bool](t)(db.Tags.Retire(t.Context(), "demo/app", gone, "retention")))
		},
		"a tag that was set since it was read is not retired": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "same", "moved"))
			unmoved, moved := tag(t, db, "same"), tag(t, db, "moved")
			ok(t, put(t.Context(), db, "demo/app", other, "moved"))
			ok(t, put(t.Context(), db, "demo/app", m, "same"))
			for _, read := range []metadata.Tag{unmoved, moved} {
				same(t, false, must[bool](t)(db.Tags.Retire(t.Context(), "demo/app", read, "retention")))
			}
			same(t, []string{"moved", "same"}, must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "", many)))
		},
		"a manifest without a tag is retired in one repository": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, put(t.Context(), db, "demo/copy", m))
			same(t, true, must[bool](t)(db.Manifests.Retire(t.Context(), "demo/app", link(t, db, "demo/app", m.Digest))))
			notFound(t, second(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
			ok(t, second(db.Manifests.Get(t.Context(), "demo/copy", m.Digest)))
			same(t, true, must[bool](t)(db.Manifests.Retire(t.Context(), "demo/copy", link(t, db, "demo/copy", m.Digest))))
			notFound(t, second(db.Manifests.Held(t.Context(), m.Digest)))
		},
		"a manifest that another was pushed for since it was read is not retired": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, put(t.Context(), db, "demo/app", other))
			child, subject := link(t, db, "demo/app", m.Digest), link(t, db, "demo/app", other.Digest)
			index := manifest("index")
			index.Subject = other.Digest
			ok(t, db.Manifests.Put(t.Context(), metadata.PutManifest{Repository: "demo/app", Manifest: index, Manifests: []digest.Digest{m.Digest}}))
			for _, read := range []metadata.ManifestLink{child, subject} {
				same(t, false, must[bool](t)(db.Manifests.Retire(t.Context(), "demo/app", read)))
			}
		},
		"a manifest that got a tag, a push or a pull since it was read is not retired": func(t *testing.T, db *metadata.DB) {
			retire := func(l metadata.ManifestLink) bool {
				return must[bool](t)(db.Manifests.Retire(t.Context(), "demo/app", l))
			}
			ok(t, put(t.Context(), db, "demo/app", m))
			read := link(t, db, "demo/app", m.Digest)
			ok(t, db.Tags.Set(t.Context(), "demo/app", "1", m.Digest, time.Time{}, "alice"))
			same(t, false, retire(read))
			ok(t, db.Tags.Delete(t.Context(), "demo/app", "1"))
			ok(t, db.Manifests.Pulled(t.Context(), []metadata.Pull{{Repository: "demo/app", Digest: m.Digest, At: noon}}))
			same(t, false, retire(read))
			read = link(t, db, "demo/app", m.Digest)
			ok(t, put(t.Context(), db, "demo/app", m))
			same(t, false, retire(read))
			same(t, false, retire(metadata.ManifestLink{Digest: digest.FromString("nothing")}))
			same(t, true, retire(link(t, db, "demo/app", m.Digest)))
		},
	})
}
