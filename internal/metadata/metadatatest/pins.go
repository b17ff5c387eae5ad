package metadatatest

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

func pins(t *testing.T, open func(t *testing.T) *metadata.DB) {
	one, other := manifest("one"), manifest("other")
	byTag := metadata.Pin{Repository: "hub/app", Tag: "1", Reason: "by hand", Actor: "alice", CreatedAt: noon}
	byDigest := metadata.Pin{Repository: "hub/app", Digest: one.Digest, Reason: "by hand", Actor: "bob", CreatedAt: noon}
	listed := func(t *testing.T, db *metadata.DB) []metadata.Pin {
		t.Helper()
		return must[[]metadata.Pin](t)(db.Pins.List(t.Context(), many))
	}
	kept := func(t *testing.T, db *metadata.DB, d digest.Digest) (pinned, vanished bool) {
		t.Helper()
		links := must[[]metadata.ManifestLink](t)(db.Manifests.LinksOf(t.Context(), "hub/app", []digest.Digest{d}))
		return links[0].Pinned, links[0].Vanished
	}
	evicted := func(t *testing.T, db *metadata.DB, d digest.Digest) bool {
		t.Helper()
		return must[bool](t)(db.Manifests.Evict(t.Context(), metadata.Eviction{Repository: "hub/app", Manifests: []digest.Digest{d}, UsedUntil: time.Now().Add(time.Hour)}))
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"pins are set, changed, listed and taken away": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "hub/app", one, "1"))
			ok(t, db.Pins.Set(t.Context(), byTag))
			ok(t, db.Pins.Set(t.Context(), byDigest))
			same(t, []metadata.Pin{byDigest, byTag}, listed(t, db))
			byCluster := byTag
			byCluster.Reason, byCluster.CreatedAt = "runs in a cluster", noon.Add(time.Hour)
			ok(t, db.Pins.Set(t.Context(), byCluster))
			byCluster.CreatedAt = noon
			same(t, []metadata.Pin{byDigest, byCluster}, listed(t, db))
			ok(t, db.Pins.Delete(t.Context(), byTag))
			ok(t, db.Pins.Delete(t.Context(), byDigest))
			notFound(t, db.Pins.Delete(t.Context(), byTag))
			same(t, 0, len(listed(t, db)))
		},
		"an image that runs in a cluster is pinned until it is not seen any more": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "hub/app", one, "1"))
			ok(t, put(t.Context(), db, "hub/app", other, "2"))
			run := func(at time.Time, images ...metadata.RunningImage) int {
				return must[int](t)(db.Pins.Running(t.Context(), images, at, at.Add(time.Hour)))
			}
			byTag, byDigest := metadata.RunningImage{Repository: "hub/app", Tag: "1"}, metadata.RunningImage{Repository: "hub/app", Digest: other.Digest, Tag: "1"}
			same(t, 2, run(noon, byTag, byDigest, metadata.RunningImage{Repository: "hub/app", Tag: "3"}, metadata.RunningImage{Repository: "hub/never", Tag: "1"}))
			same(t, 2, len(listed(t, db)))
			same(t, []bool{false, false}, []bool{evicted(t, db, one.Digest), evicted(t, db, other.Digest)})
			same(t, 1, run(noon.Add(time.Minute), byDigest))
			ok(t, db.Pins.EndRunning(t.Context(), noon.Add(time.Hour)))
			same(t, []metadata.Pin{{
				Repository: "hub/app", Digest: other.Digest, Reason: metadata.ReasonRunning, CreatedAt: noon.Add(time.Minute), Until: noon.Add(time.Hour + time.Minute),
			}}, listed(t, db))
			same(t, []bool{true, false}, []bool{evicted(t, db, one.Digest), evicted(t, db, other.Digest)})
			// What somebody has pinned stays so.
			ok(t, db.Pins.Set(t.Context(), metadata.Pin{Repository: "hub/app", Digest: other.Digest, Reason: "by hand", CreatedAt: noon}))
			ok(t, db.Pins.EndRunning(t.Context(), noon.Add(2*time.Hour)))
			same(t, 1, len(listed(t, db)))
			same(t, false, evicted(t, db, other.Digest))
		},
		"what is not there cannot be pinned": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "hub/app", one, "1"))
			for _, p := range []metadata.Pin{{Repository: "hub/app", Tag: "2"}, {Repository: "hub/app", Digest: other.Digest}, {Repository: "hub/never", Tag: "1"}} {
				notFound(t, db.Pins.Set(t.Context(), p))
			}
		},
		"a pinned tag pins what it names, now and later": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "hub/app", one, "1"))
			ok(t, put(t.Context(), db, "hub/app", other, "2"))
			ok(t, db.Pins.Set(t.Context(), byTag))
			is, _ := kept(t, db, one.Digest)
			same(t, true, is)
			same(t, false, evicted(t, db, one.Digest))
			ok(t, db.Tags.Set(t.Context(), "hub/app", "1", other.Digest, noon, "hub"))
			was, _ := kept(t, db, one.Digest)
			is, _ = kept(t, db, other.Digest)
			same(t, []bool{false, true}, []bool{was, is})
			same(t, true, evicted(t, db, one.Digest))
			same(t, false, evicted(t, db, other.Digest))
			ok(t, db.Tags.Delete(t.Context(), "hub/app", "1"))
			same(t, []metadata.Pin{byTag}, listed(t, db))
		},
		"what was pulled is told with its tags": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "hub/app", one, "1", "latest"))
			ok(t, put(t.Context(), db, "hub/app", other))
			ok(t, db.Manifests.Pulled(t.Context(), []metadata.Pull{{Repository: "hub/app", Digest: one.Digest, At: noon}, {Repository: "hub/app", Digest: other.Digest, At: noon.Add(time.Hour)}}))
			since := func(at time.Time, limit int) []metadata.PulledImage {
				return must[[]metadata.PulledImage](t)(db.Manifests.PulledSince(t.Context(), at, limit))
			}
			untagged := metadata.PulledImage{Repository: "hub/app", Digest: other.Digest}
			all := []metadata.PulledImage{untagged, {Repository: "hub/app", Tag: "1", Digest: one.Digest}, {Repository: "hub/app", Tag: "latest", Digest: one.Digest}}
			same(t, all, since(noon, many))
			same(t, all[:2], since(noon, 2))
			same(t, all[:1], since(noon.Add(time.Minute), many))
		},
		"worth to be kept fresh are tags that are pinned, run or were pulled": func(t *testing.T, db *metadata.DB) {
			q := metadata.RefreshQuery{Project: "hub", CheckedBefore: noon, PulledSince: noon, Limit: many}
			due := func() []metadata.TagName { return must[[]metadata.TagName](t)(db.Tags.ToRefresh(t.Context(), q)) }
			tag := func(name string) metadata.TagName { return metadata.TagName{Repository: "hub/app", Tag: name} }
			ok(t, put(t.Context(), db, "hub/app", one, "pulled", "pulled-too"))
			ok(t, put(t.Context(), db, "hub/app", other, "pinned", "idle"))
			third := manifest("third")
			ok(t, put(t.Context(), db, "hub/app", third, "runs"))
			ok(t, put(t.Context(), db, "demo/app", one, "hosted"))
			same(t, 0, len(due()))
			ok(t, db.Manifests.Pulled(t.Context(), []metadata.Pull{{Repository: "hub/app", Digest: one.Digest, At: noon}, {Repository: "demo/app", Digest: one.Digest, At: noon}}))
			ok(t, db.Pins.Set(t.Context(), metadata.Pin{Repository: "hub/app", Tag: "pinned", Reason: "by hand", CreatedAt: noon}))
			_, err := db.Pins.Running(t.Context(), []metadata.RunningImage{{Repository: "hub/app", Digest: third.Digest}}, noon, noon.Add(time.Hour))
			ok(t, err)
			all := []metadata.TagName{tag("pinned"), tag("pulled"), tag("pulled-too"), tag("runs")}
			same(t, all, due())
			// What a tag named before was pulled, or runs, by that tag.
			for _, name := range []string{"pulled", "runs"} {
				ok(t, db.Tags.Set(t.Context(), "hub/app", name, other.Digest, noon.Add(-time.Hour), "hub"))
			}
			same(t, all, due())
			q.After, q.Limit = tag("pinned"), 2
			same(t, all[1:3], due())
			q.After, q.Limit = metadata.TagName{}, many
			ok(t, db.Tags.Checked(t.Context(), "hub/app", "pinned", noon))
			q.PulledSince = noon.Add(time.Minute)
			same(t, []metadata.TagName{tag("runs")}, due())
		},
		"a pinned tag is not retired": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "hub/app", one, "1"))
			ok(t, db.Pins.Set(t.Context(), byTag))
			tag := must[metadata.Tag](t)(db.Tags.Get(t.Context(), "hub/app", "1"))
			same(t, false, must[bool](t)(db.Tags.Retire(t.Context(), "hub/app", tag, "rules")))
			ok(t, db.Pins.Delete(t.Context(), byTag))
			same(t, true, must[bool](t)(db.Tags.Retire(t.Context(), "hub/app", tag, "rules")))
		},
		"what is gone upstream is marked, and not evicted, until it is back": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "hub/app", one, "1"))
			since := func() time.Time { return must[metadata.Tag](t)(db.Tags.Get(t.Context(), "hub/app", "1")).VanishedAt }
			same(t, time.Time{}, since())
			ok(t, db.Tags.Vanished(t.Context(), "hub/app", "1", noon))
			ok(t, db.Tags.Vanished(t.Context(), "hub/app", "1", noon.Add(time.Hour)))
			ok(t, db.Tags.Vanished(t.Context(), "hub/app", "never", noon))
			same(t, noon, since())
			_, gone := kept(t, db, one.Digest)
			same(t, true, gone)
			same(t, false, evicted(t, db, one.Digest))
			ok(t, db.Tags.Checked(t.Context(), "hub/app", "1", noon.Add(2*time.Hour)))
			same(t, time.Time{}, since())
			ok(t, db.Tags.Vanished(t.Context(), "hub/app", "1", noon))
			ok(t, db.Tags.Set(t.Context(), "hub/app", "1", one.Digest, noon, "hub"))
			same(t, time.Time{}, since())
			same(t, true, evicted(t, db, one.Digest))
		},
	})
}
