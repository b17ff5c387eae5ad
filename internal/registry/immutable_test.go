package registry_test

import (
	"io"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

func TestAnImmutableTagStaysWhereItIs(t *testing.T) {
	h := newHouse(t)
	h.limit(0, "release-*", "v*")
	first, second := h.image(app, nil), h.image(app, nil)
	d := h.tag(app, "v1", first)
	h.tag(app, "v1", first) // the same again
	ctx := t.Context()
	texts := []string{"tag v1 of demo/app is immutable", "match v*", "larder set immutable-tags -n demo"}

	_, err := h.PutManifest(ctx, app, registry.ManifestPush{Reference: oci.Reference{Tag: "v1"}, Content: second})
	deniedWith(t, err, texts...)
	_, err = h.PutManifest(ctx, app, registry.ManifestPush{Reference: oci.Reference{Tag: "latest"}, Tags: []string{"v1"}, Content: second})
	deniedWith(t, err, texts...)
	_, err = h.Tag(ctx, registry.Tagging{Source: app, Reference: oci.Reference{Digest: h.tag(app, "latest", second)}, Target: app, Tag: "v1"})
	deniedWith(t, err, texts...)
	deniedWith(t, h.DeleteTag(ctx, app, "v1"), texts...)
	deniedWith(t, h.DeleteManifest(ctx, app, d), texts...)
	deniedWith(t, h.DeleteRepository(ctx, app, nil), texts...)
	tag, err := h.db.Tags.Get(ctx, app.String(), "v1")
	if err != nil || tag.Digest != d {
		t.Fatalf("v1 is %s, %v", tag.Digest, err)
	}
	_, err = h.RetireTag(ctx, app, tag)
	deniedWith(t, err, texts...)
	if err := h.DeleteTag(ctx, app, "v2"); oci.CodeOf(err) != oci.CodeManifestUnknown {
		t.Errorf("a tag that is not there: %v", err)
	}
	h.tag(app, "latest", first)
	if err := h.DeleteTag(ctx, app, "latest"); err != nil {
		t.Error(err)
	}
	h.limit(0)
	h.tag(app, "v1", second)
	if err := h.DeleteManifest(ctx, app, d); err != nil {
		t.Error(err)
	}
}

func TestOfTwoFirstPushesOfAnImmutableTagOneWins(t *testing.T) {
	h := newHouse(t)
	h.limit(0, "v*")
	errs := make(chan error)
	const pushes = 4
	for range pushes {
		image := h.image(app, func(m *v1.Manifest) { m.Annotations = map[string]string{"text": string(random(t, 1))} })
		go func() {
			_, err := h.PutManifest(t.Context(), app, registry.ManifestPush{Reference: oci.Reference{Tag: "v1"}, Content: image})
			errs <- err
		}()
	}
	won := 0
	for range pushes {
		if err := <-errs; err == nil {
			won++
		} else if oci.CodeOf(err) != oci.CodeDenied {
			t.Error(err)
		}
	}
	moves, err := h.db.Tags.History(t.Context(), app.String(), "v1", 10)
	if err != nil || won != 1 || len(moves) != 1 {
		t.Errorf("%d pushes won, and the tag has moved %d times, %v", won, len(moves), err)
	}
}

func TestAProjectIsDeletedWhateverItsTags(t *testing.T) {
	h := newHouse(t)
	h.limit(0, "*")
	image := h.image(app, nil)
	d := h.tag(app, "v1", image)
	id := h.begin(app)
	if _, err := h.AppendUpload(t.Context(), app, id, nil, &chunk{}); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		_, _, err := h.Manifest(t.Context(), oci.Caller{}, app, oci.Reference{Tag: "v1"})
		return err
	}
	if err := read(); err != nil { // from now on it is hot
		t.Fatal(err)
	}
	before := h.ProjectsMark()
	if err := h.DeleteProject(t.Context(), "demo"); err != nil {
		t.Fatal(err)
	}
	if h.ProjectsMark() == before {
		t.Error("nobody is told that a project is gone")
	}
	if err := read(); oci.CodeOf(err) != oci.CodeManifestUnknown {
		t.Errorf("its manifests can still be read: %v", err)
	}
	if _, err := h.UploadStatus(t.Context(), app, id); oci.CodeOf(err) != oci.CodeBlobUploadUnknown {
		t.Errorf("its upload is still there: %v", err)
	}
	if removed, err := h.RemoveStrayUploads(t.Context()); err != nil || removed != 0 {
		t.Errorf("the bytes of %d uploads were left, %v", removed, err)
	}
	if err := h.EnsureProject(t.Context(), "demo", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.db.Manifests.Get(t.Context(), app.String(), d); err == nil {
		t.Error("the next project of that name has the manifests of the one before")
	}
}

// chunk is a body of one byte.
type chunk struct{ read bool }

func (c *chunk) Read(p []byte) (int, error) {
	if c.read {
		return 0, io.EOF
	}
	c.read = true
	return copy(p, "x"), nil
}

func TestARepositoryIsDeletedAndCanBePushedToAgain(t *testing.T) {
	h := newHouse(t)
	image := h.image(app, nil)
	h.tag(app, "1", image)
	kept := h.tag(other, "1", h.image(other, nil))
	if err := h.DeleteRepository(t.Context(), app, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteRepository(t.Context(), app, nil); oci.CodeOf(err) != oci.CodeNameUnknown {
		t.Errorf("deleting it again: %v", err)
	}
	_, _, err := h.Tags(t.Context(), oci.Caller{}, app, oci.TagPage{Limit: 1})
	if oci.CodeOf(err) != oci.CodeNameUnknown {
		t.Errorf("its tags: %v", err)
	}
	if _, _, err := h.Manifest(t.Context(), oci.Caller{}, other, oci.Reference{Digest: kept}); err != nil {
		t.Errorf("the other repository: %v", err)
	}
	_, err = h.PutManifest(t.Context(), app, registry.ManifestPush{Reference: oci.Reference{Tag: "1"}, Content: image})
	if oci.CodeOf(err) != oci.CodeManifestBlobUnknown {
		t.Errorf("its blobs are still readable: %v", err)
	}
}
