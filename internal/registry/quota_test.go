package registry_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// limit changes what the project demo is limited to.
func (h *house) limit(quota int64, immutable ...string) {
	h.t.Helper()
	if err := h.db.Projects.Update(h.t.Context(), metadata.Project{Name: "demo", Quota: quota, ImmutableTags: immutable}); err != nil {
		h.t.Fatal(err)
	}
}

// deniedWith fails unless an error is DENIED and says all texts.
func deniedWith(t *testing.T, err error, texts ...string) {
	t.Helper()
	if oci.CodeOf(err) != oci.CodeDenied {
		t.Fatalf("got the error %v, want DENIED", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the refusal is %q, it does not say %q", err, text)
		}
	}
}

// unread is a body whose length is known, and which may not be read.
type unread struct {
	t    *testing.T
	left int64
}

func (s *unread) Left() int64 { return s.left }

func (s *unread) Read([]byte) (int, error) {
	s.t.Error("the body was read")
	return 0, io.EOF
}

func (h *house) begin(repo oci.Repository) string {
	h.t.Helper()
	id, err := h.StartUpload(h.t.Context(), repo, digest.SHA256)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func TestAPushOverTheQuotaIsDeniedWithBothNumbers(t *testing.T) {
	h := newHouse(t)
	h.pushBlob(app, random(t, 600))
	h.limit(1000)
	content := random(t, 500)
	d := digest.FromBytes(content)
	numbers := []string{"project demo would take", "1.1 KiB (1100 bytes)", "its quota is 1000 bytes", "larder set quota demo"}
	ctx := t.Context()

	t.Run("before a body of known length is read", func(t *testing.T) {
		deniedWith(t, h.PutBlob(ctx, other, d, &unread{t, 500}), numbers...)
		_, err := h.AppendUpload(ctx, other, h.begin(other), nil, &unread{t, 500})
		deniedWith(t, err, numbers...)
		deniedWith(t, h.FinishUpload(ctx, other, h.begin(other), d, nil, &unread{t, 500}), numbers...)
	})
	t.Run("in a body of unknown length", func(t *testing.T) {
		id := h.begin(other)
		_, err := h.AppendUpload(ctx, other, id, nil, bytes.NewReader(content))
		deniedWith(t, err, "would take at least 1.1 KiB (1100 bytes)")
		if _, err := h.UploadStatus(ctx, other, id); oci.CodeOf(err) != oci.CodeBlobUploadUnknown {
			t.Errorf("the upload is still there: %v", err)
		}
	})
	t.Run("in the chunk that is one too many", func(t *testing.T) {
		id := h.begin(other)
		if _, err := h.AppendUpload(ctx, other, id, nil, bytes.NewReader(content[:300])); err != nil {
			t.Fatal(err)
		}
		_, err := h.AppendUpload(ctx, other, id, nil, &unread{t, 200})
		deniedWith(t, err, numbers...)
	})
	t.Run("at a mount", func(t *testing.T) {
		if err := h.EnsureProject(ctx, "shop", "alice"); err != nil {
			t.Fatal(err)
		}
		h.pushBlob("shop/app", content)
		deniedWith(t, h.MountBlob(ctx, other, "shop/app", d), numbers...)
	})
}

func TestAnUploadThatWasBegunBeforeTheQuotaIsFullIsDeniedAtItsEnd(t *testing.T) {
	h := newHouse(t)
	h.limit(1000)
	content := random(t, 500)
	id := h.begin(app)
	if _, err := h.AppendUpload(t.Context(), app, id, nil, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	h.pushBlob(other, random(t, 600))
	deniedWith(t, h.FinishUpload(t.Context(), app, id, digest.FromBytes(content), nil, strings.NewReader("")), "(1100 bytes)", "1000 bytes")
	if _, err := h.UploadStatus(t.Context(), app, id); oci.CodeOf(err) != oci.CodeBlobUploadUnknown {
		t.Errorf("the upload is still there: %v", err)
	}
}

func TestWhatAProjectHasMayBePushedAgainAndAManifestMayNotOnceItTakesTooMuch(t *testing.T) {
	h := newHouse(t)
	image := h.image(app, nil)
	layer := h.pushBlob(app, random(t, 500))
	h.limit(700)
	if err := h.MountBlob(t.Context(), other, app, layer); err != nil {
		t.Errorf("what the project has was not mounted: %v", err)
	}
	h.tag(app, "1", image)
	h.limit(300)
	_, err := h.PutManifest(t.Context(), app, registry.ManifestPush{Reference: oci.Reference{Tag: "2"}, Content: image})
	deniedWith(t, err, "would take 602 bytes", "its quota is 300 bytes")
}

func TestWhatACacheHoldsIsNotHeldToAQuota(t *testing.T) {
	h := newHouse(t)
	cache := metadata.Project{Name: "hub", Kind: metadata.Cache}
	if err := h.db.Projects.Create(t.Context(), cache); err != nil {
		t.Fatal(err)
	}
	cache.Quota = 1
	if err := h.db.Projects.Update(t.Context(), cache); err != nil {
		t.Fatal(err)
	}
	h.pushBlob("hub/app", random(t, 100))
}
