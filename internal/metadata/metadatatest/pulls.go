package metadatatest

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

func pulls(t *testing.T, open func(t *testing.T) *metadata.DB) {
	m, other := manifest("one"), manifest("two")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a manifest that nobody pulled has no time of a pull": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "latest"))
			ok(t, db.Manifests.Pulled(t.Context(), nil))
			same(t, time.Time{}, link(t, db, "demo/app", m.Digest).PulledAt)
		},
		"pulls are kept for each repository": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, put(t.Context(), db, "demo/app", other))
			ok(t, put(t.Context(), db, "demo/copy", m))
			ok(t, db.Manifests.Pulled(t.Context(), []metadata.Pull{
				{Repository: "demo/copy", Digest: m.Digest, At: noon.Add(time.Hour)},
				{Repository: "demo/app", Digest: m.Digest, At: noon},
			}))
			same(t, noon, link(t, db, "demo/app", m.Digest).PulledAt)
			same(t, noon.Add(time.Hour), link(t, db, "demo/copy", m.Digest).PulledAt)
			same(t, time.Time{}, link(t, db, "demo/app", other.Digest).PulledAt)
		},
		"the time of a pull only goes forward, and a push leaves it": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			for _, at := range []time.Time{noon.Add(time.Minute), noon, noon.Add(2 * time.Minute), noon.Add(time.Second)} {
				ok(t, db.Manifests.Pulled(t.Context(), []metadata.Pull{{Repository: "demo/app", Digest: m.Digest, At: at}}))
			}
			ok(t, put(t.Context(), db, "demo/app", m))
			same(t, noon.Add(2*time.Minute), link(t, db, "demo/app", m.Digest).PulledAt)
		},
		"images that are pulled are counted for their repository": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, put(t.Context(), db, "demo/copy", m))
			for range 2 {
				ok(t, db.Manifests.Pulled(t.Context(), []metadata.Pull{
					{Repository: "demo/copy", Digest: m.Digest, At: noon, Images: 1},
					{Repository: "demo/app", Digest: m.Digest, At: noon, Images: 3},
					{Repository: "demo/app", Digest: other.Digest, At: noon, Images: 4},
					{Repository: "demo/never", Digest: m.Digest, At: noon, Images: 5},
				}))
			}
			same(t, int64(14), must[metadata.Repository](t)(db.Repositories.Get(t.Context(), "demo/app")).Pulls)
			same(t, int64(2), must[metadata.Repository](t)(db.Repositories.Get(t.Context(), "demo/copy")).Pulls)
		},
		"a pull of what is no longer there changes nothing": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, db.Manifests.Pulled(t.Context(), []metadata.Pull{
				{Repository: "demo/app", Digest: other.Digest, At: noon},
				{Repository: "demo/never", Digest: m.Digest, At: noon},
				{Repository: "demo/app", Digest: m.Digest, At: noon},
			}))
			same(t, noon, link(t, db, "demo/app", m.Digest).PulledAt)
			same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), "demo/never")))
		},
	})
}

func manifestTimes(t *testing.T, open func(t *testing.T) *metadata.DB) {
	m, other := manifest("one"), manifest("two")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"manifests are listed in pages, by digest, with what is known of them": func(t *testing.T, db *metadata.DB) {
			referrer := manifest("signature")
			referrer.Subject = m.Digest
			for _, each := range []metadata.Manifest{m, other, referrer} {
				ok(t, put(t.Context(), db, "demo/app", each))
			}
			all := must[[]metadata.ManifestLink](t)(db.Manifests.Links(t.Context(), "demo/app", "", many))
			same(t, 3, len(all))
			for i, l := range all {
				page := must[[]metadata.ManifestLink](t)(db.Manifests.Links(t.Context(), "demo/app", before(all, i), 1))
				same(t, all[i:i+1], page)
				recent(t, l.PushedAt)
			}
			got := link(t, db, "demo/app", referrer.Digest)
			same(t, metadata.ManifestLink{
				Digest: referrer.Digest, MediaType: referrer.MediaType, Size: int64(len(referrer.Content)),
				Subject: m.Digest, PushedAt: got.PushedAt,
			}, got)
			same(t, nil, must[[]metadata.ManifestLink](t)(db.Manifests.Links(t.Context(), "demo/never", "", many)))
		},
		"a manifest that loses a tag is known to have lost it": func(t *testing.T, db *metadata.DB) {
			untagged := func() map[digest.Digest]time.Time {
				lost := map[digest.Digest]time.Time{}
				for _, u := range must[[]metadata.Untagging](t)(db.Manifests.Untagged(t.Context(), "demo/app", "", many)) {
					recent(t, u.At)
					lost[u.Digest] = u.At
				}
				return lost
			}
			ok(t, put(t.Context(), db, "demo/app", m, "1", "2"))
			ok(t, put(t.Context(), db, "demo/app", m, "1"))
			ok(t, put(t.Context(), db, "demo/copy", m, "1"))
			ok(t, put(t.Context(), db, "demo/copy", other, "1"))
			same(t, map[digest.Digest]time.Time{}, untagged())
			ok(t, put(t.Context(), db, "demo/app", other, "1"))
			moved := untagged()
			same(t, map[digest.Digest]time.Time{m.Digest: moved[m.Digest]}, moved)
			ok(t, db.Tags.Delete(t.Context(), "demo/app", "1"))
			removed := untagged()
			same(t, map[digest.Digest]time.Time{m.Digest: moved[m.Digest], other.Digest: removed[other.Digest]}, removed)
			same(t, 1, len(must[[]metadata.Untagging](t)(db.Manifests.Untagged(t.Context(), "demo/app", "", 1))))
			ok(t, put(t.Context(), db, "demo/app", other, "1"))
			same(t, removed, untagged())
		},
	})
}

// link is what is known of a manifest that is there.
func link(t *testing.T, db *metadata.DB, repository string, d digest.Digest) metadata.ManifestLink {
	t.Helper()
	for _, l := range must[[]metadata.ManifestLink](t)(db.Manifests.Links(t.Context(), repository, "", many)) {
		if l.Digest == d {
			return l
		}
	}
	t.Fatalf("%s does not link %s", repository, d)
	return metadata.ManifestLink{}
}

func before(all []metadata.ManifestLink, i int) digest.Digest {
	if i == 0 {
		return ""
	}
	return all[i-1].Digest
}

// recent fails unless the time is within the test's own.
func recent(t *testing.T, at time.Time) {
	t.Helper()
	if age := time.Since(at); age < 0 || age > time.Hour {
		t.Fatalf("the time %s is not of just now", at)
	}
}
