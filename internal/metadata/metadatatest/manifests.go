package metadatatest

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

func manifests(t *testing.T, open func(t *testing.T) *metadata.DB) {
	m := manifest("one")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a manifest comes back byte for byte, after reopening too": func(t *testing.T, db *metadata.DB) {
			large := metadata.Manifest{Manifest: oci.Manifest{MediaType: "application/x", Content: []byte(strings.Repeat("\x00\xff'\n", oci.MaxManifestSize/4))}}
			large.Digest = digest.SHA512.FromBytes(large.Content)
			ok(t, put(t.Context(), db, "demo/app", large))
			ok(t, db.Close())
			same(t, large.Manifest, must[oci.Manifest](t)(open(t).Manifests.Get(t.Context(), "demo/app", large.Digest)))
		},
		"a tag finds its manifest": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Manifests.Put(t.Context(), metadata.PutManifest{Repository: "hub/app", Manifest: m, Tags: []string{"1", "latest"}, CheckedAt: noon}))
			for _, name := range []string{"1", "latest"} {
				got, tag, err := db.Manifests.GetByTag(t.Context(), "hub/app", name)
				ok(t, err)
				same(t, m.Manifest, got)
				same(t, must[metadata.Tag](t)(db.Tags.Get(t.Context(), "hub/app", name)), tag)
				same(t, metadata.Tag{Name: name, Digest: m.Digest, CheckedAt: noon, UpdatedAt: tag.UpdatedAt}, tag)
			}
			_, _, err := db.Manifests.GetByTag(t.Context(), "hub/app", "2")
			notFound(t, err)
		},
		"a manifest is put again without harm": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "a"))
			ok(t, put(t.Context(), db, "demo/app", m, "b"))
			same(t, []string{"a", "b"}, must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "", many)))
		},
		"a manifest pushed under another media type changes no other repository": func(t *testing.T, db *metadata.DB) {
			odd := m
			odd.MediaType = "application/x-odd"
			ok(t, put(t.Context(), db, "demo/odd", odd))
			ok(t, put(t.Context(), db, "demo/app", m))
			same(t, m.Manifest, must[oci.Manifest](t)(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
			same(t, odd.Manifest, must[oci.Manifest](t)(db.Manifests.Get(t.Context(), "demo/odd", m.Digest)))
		},
		"a manifest pushed again under another media type has the last one": func(t *testing.T, db *metadata.DB) {
			odd := m
			odd.MediaType = "application/x-odd"
			ok(t, put(t.Context(), db, "demo/app", odd))
			ok(t, put(t.Context(), db, "demo/app", m))
			same(t, m.Manifest, must[oci.Manifest](t)(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
		},
		"a push to a project that does not exist leaves nothing": func(t *testing.T, db *metadata.DB) {
			notFound(t, put(t.Context(), db, "nobody/app", m, "latest"))
			notFound(t, second(db.Manifests.Held(t.Context(), m.Digest)))
			same(t, nil, must[[]string](t)(db.Repositories.List(t.Context(), "", many)))
		},
	})
}

func manifestLinks(t *testing.T, open func(t *testing.T) *metadata.DB) {
	m, other := manifest("one"), manifest("two")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a manifest is readable only where it is linked": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "latest"))
			ok(t, db.Repositories.Create(t.Context(), "hub/app"))
			notFound(t, second(db.Manifests.Get(t.Context(), "hub/app", m.Digest)))
			_, _, err := db.Manifests.GetByTag(t.Context(), "hub/app", "latest")
			notFound(t, err)
			same(t, m.Manifest, must[oci.Manifest](t)(db.Manifests.Held(t.Context(), m.Digest)))
			ok(t, db.Manifests.Link(t.Context(), "hub/app", m.Digest))
			ok(t, db.Manifests.Link(t.Context(), "hub/app", m.Digest))
			same(t, m.Manifest, must[oci.Manifest](t)(db.Manifests.Get(t.Context(), "hub/app", m.Digest)))
			same(t, nil, must[[]string](t)(db.Tags.List(t.Context(), "hub/app", "", many)))
		},
		"a manifest that nobody holds cannot be linked": func(t *testing.T, db *metadata.DB) {
			notFound(t, db.Manifests.Link(t.Context(), "demo/app", m.Digest))
			same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), "demo/app")))
		},
		"a manifest cannot be linked in a project that does not exist": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			notFound(t, db.Manifests.Link(t.Context(), "nobody/app", m.Digest))
		},
		"a deleted manifest takes its tags in that repository only": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m, "1", "latest"))
			ok(t, put(t.Context(), db, "demo/app", other, "2"))
			ok(t, put(t.Context(), db, "demo/copy", m, "latest"))
			ok(t, db.Manifests.Delete(t.Context(), "demo/app", m.Digest, nil))
			notFound(t, second(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
			same(t, []string{"2"}, must[[]string](t)(db.Tags.List(t.Context(), "demo/app", "", many)))
			got, _, err := db.Manifests.GetByTag(t.Context(), "demo/copy", "latest")
			ok(t, err)
			same(t, m.Manifest, got)
		},
		"a manifest's bytes go with its last repository": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, put(t.Context(), db, "demo/copy", m))
			ok(t, db.Manifests.Delete(t.Context(), "demo/app", m.Digest, nil))
			same(t, m.Manifest, must[oci.Manifest](t)(db.Manifests.Held(t.Context(), m.Digest)))
			ok(t, db.Manifests.Delete(t.Context(), "demo/copy", m.Digest, nil))
			notFound(t, second(db.Manifests.Held(t.Context(), m.Digest)))
			ok(t, put(t.Context(), db, "demo/app", m))
			same(t, m.Manifest, must[oci.Manifest](t)(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
		},
		"a manifest is deleted only where it is linked": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", m))
			ok(t, put(t.Context(), db, "demo/other", other))
			notFound(t, db.Manifests.Delete(t.Context(), "demo/other", m.Digest, nil))
			notFound(t, db.Manifests.Delete(t.Context(), "demo/never", m.Digest, nil))
			same(t, m.Manifest, must[oci.Manifest](t)(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
		},
	})
}

func referrers(t *testing.T, open func(t *testing.T) *metadata.DB) {
	subject := manifest("subject")
	referrer := func(text, artifactType string) metadata.Manifest {
		m := manifest(text)
		m.Subject, m.ArtifactType = subject.Digest, artifactType
		return m
	}
	signature, sbom := referrer("signature", "application/x-signature"), referrer("sbom", "application/x-sbom")
	sorted := []oci.Manifest{signature.Manifest, sbom.Manifest}
	if sorted[0].Digest > sorted[1].Digest {
		sorted[0], sorted[1] = sorted[1], sorted[0]
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"referrers are ordered by digest, and their subject may be missing": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", signature))
			ok(t, put(t.Context(), db, "demo/app", sbom))
			ok(t, put(t.Context(), db, "demo/app", manifest("no referrer")))
			same(t, sorted, must[[]oci.Manifest](t)(db.Manifests.Referrers(t.Context(), "demo/app", subject.Digest, "", many)))
			same(t, sorted[:1], must[[]oci.Manifest](t)(db.Manifests.Referrers(t.Context(), "demo/app", subject.Digest, "", 1)))
		},
		"referrers are filtered by artifact type": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", signature))
			ok(t, put(t.Context(), db, "demo/app", sbom))
			same(t, []oci.Manifest{sbom.Manifest}, must[[]oci.Manifest](t)(db.Manifests.Referrers(t.Context(), "demo/app", subject.Digest, "application/x-sbom", many)))
			same(t, nil, must[[]oci.Manifest](t)(db.Manifests.Referrers(t.Context(), "demo/app", subject.Digest, "application/x-none", many)))
		},
		"referrers belong to their repository, and a link brings them along": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", sbom))
			same(t, nil, must[[]oci.Manifest](t)(db.Manifests.Referrers(t.Context(), "demo/copy", subject.Digest, "", many)))
			ok(t, db.Manifests.Link(t.Context(), "demo/copy", sbom.Digest))
			same(t, []oci.Manifest{sbom.Manifest}, must[[]oci.Manifest](t)(db.Manifests.Referrers(t.Context(), "demo/copy", subject.Digest, sbom.ArtifactType, many)))
			ok(t, db.Manifests.Delete(t.Context(), "demo/app", sbom.Digest, nil))
			same(t, nil, must[[]oci.Manifest](t)(db.Manifests.Referrers(t.Context(), "demo/app", subject.Digest, "", many)))
		},
		"manifests without a subject refer to nothing": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", subject))
			same(t, nil, must[[]oci.Manifest](t)(db.Manifests.Referrers(t.Context(), "demo/app", "", "", many)))
		},
	})
}
