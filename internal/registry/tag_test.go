package registry_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// index pushes a list of two images under a tag.
func (h *house) index(repo oci.Repository, tag string) (d digest.Digest, children [][]byte) {
	h.t.Helper()
	list := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, arch := range []string{"amd64", "arm64"} {
		image := h.image(repo, nil)
		_, err := h.PutManifest(h.t.Context(), repo, registry.ManifestPush{Reference: oci.Reference{Digest: digest.FromBytes(image)}, Content: image})
		if err != nil {
			h.t.Fatal(err)
		}
		list.Manifests = append(list.Manifests, v1.Descriptor{
			MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(image), Size: int64(len(image)),
			Platform: &v1.Platform{OS: "linux", Architecture: arch},
		})
		children = append(children, image)
	}
	return h.tag(repo, tag, marshal(h.t, list)), children
}

func TestATagRollsBackAndItsHistoryTellsSo(t *testing.T) {
	h := newHouse(t)
	old := h.tag(app, "latest", h.image(app, nil))
	bad := h.tag(app, "latest", h.image(app, nil))
	got, err := h.Tag(t.Context(), registry.Tagging{Source: app, Reference: oci.Reference{Digest: old}, Target: app, Tag: "latest", Actor: "bob"})
	if err != nil || got != old {
		t.Fatalf("rolled back to %s, %v", got, err)
	}
	m, _, err := h.Manifest(t.Context(), oci.Caller{}, app, oci.Reference{Tag: "latest"})
	if err != nil || m.Digest != old {
		t.Errorf("latest is %s, %v", m.Digest, err)
	}
	moves, err := h.db.Tags.History(t.Context(), app.String(), "latest", 10)
	if err != nil || len(moves) != 3 || moves[0].Digest != old || moves[0].Actor != "bob" || moves[1].Digest != bad {
		t.Errorf("history = %+v, %v", moves, err)
	}
}

func TestATagTakesTheWholeImageToAnotherRepository(t *testing.T) {
	h := newHouse(t)
	if err := h.EnsureProject(t.Context(), "shop", "alice"); err != nil {
		t.Fatal(err)
	}
	d, children := h.index(app, "1")
	const target = oci.Repository("shop/app")
	if _, err := h.Tag(t.Context(), registry.Tagging{Source: app, Reference: oci.Reference{Tag: "1"}, Target: target, Tag: "stable", Actor: "bob"}); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteRepository(t.Context(), app, nil); err != nil {
		t.Fatal(err)
	}
	m, _, err := h.Manifest(t.Context(), oci.Caller{}, target, oci.Reference{Tag: "stable"})
	if err != nil || m.Digest != d {
		t.Fatalf("stable is %s, %v", m.Digest, err)
	}
	for _, image := range children {
		child, _, err := h.Manifest(t.Context(), oci.Caller{}, target, oci.Reference{Digest: digest.FromBytes(image)})
		if err != nil {
			t.Fatal(err)
		}
		content, err := oci.ParseManifest(child.MediaType, child.Content)
		if err != nil {
			t.Fatal(err)
		}
		for _, blob := range content.Blobs() {
			h.readBlob(target, blob)
		}
	}
}

func TestATagOfWhatIsNotThereOrNotWholeSaysSo(t *testing.T) {
	h := newHouse(t)
	image := h.image(app, nil)
	h.tag(app, "1", image)
	tag := func(ref oci.Reference, to oci.Repository) error {
		_, err := h.Tag(t.Context(), registry.Tagging{Source: app, Reference: ref, Target: to, Tag: "2"})
		return err
	}
	if err := tag(oci.Reference{Tag: "none"}, app); oci.CodeOf(err) != oci.CodeManifestUnknown {
		t.Errorf("no such tag: %v", err)
	}
	if err := tag(oci.Reference{Tag: "1"}, "nowhere/app"); oci.CodeOf(err) != oci.CodeNameUnknown {
		t.Errorf("no such project: %v", err)
	}
	content, err := oci.ParseManifest("", image)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteBlob(t.Context(), app, content.Layers[0].Digest); err != nil {
		t.Fatal(err)
	}
	if err := tag(oci.Reference{Tag: "1"}, other); oci.CodeOf(err) != oci.CodeManifestBlobUnknown {
		t.Errorf("a layer is missing: %v", err)
	}
}
