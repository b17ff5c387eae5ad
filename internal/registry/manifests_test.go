package registry_test

import (
	"bytes"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

func TestAManifestIsServedByteForByte(t *testing.T) {
	h := newHouse(t)
	content := append([]byte(" \n"), h.image(app, nil)...)
	d := h.tag(app, "v1", content)
	for _, ref := range []oci.Reference{{Tag: "v1"}, {Digest: d}} {
		got, _, err := h.Manifest(t.Context(), oci.Caller{}, app, ref)
		if err != nil {
			t.Fatal(err)
		}
		want := oci.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(content), Content: content}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("manifest %s (-want +got):\n%s", ref, diff)
		}
	}
}

func TestAWarmManifestNeedsNoMetadata(t *testing.T) {
	h := newHouse(t)
	d := h.tag(app, "v1", h.image(app, nil))
	h.manifestCode(app, oci.Reference{Tag: "v1"})
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []oci.Reference{{Tag: "v1"}, {Digest: d}} {
		got, _, err := h.StatManifest(t.Context(), oci.Caller{}, app, ref)
		if err != nil || got.Digest != d {
			t.Errorf("%s: got %v, %v, want %s without metadata", ref, got, err, d)
		}
	}
}

func TestAManifestIsReadableOnlyWhereItIsLinked(t *testing.T) {
	h := newHouse(t)
	d := h.tag(app, "v1", h.image(app, nil))
	h.manifestCode(app, oci.Reference{Digest: d})
	if got := h.manifestCode(other, oci.Reference{Digest: d}); got != oci.CodeManifestUnknown {
		t.Errorf("another repository answers %q", got)
	}
}

func TestAPushIsRefusedWhen(t *testing.T) {
	h := newHouse(t)
	missing := digest.FromString("nowhere")
	child := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: missing, Size: 7}
	tests := []struct {
		name    string
		ref     oci.Reference
		content []byte
		want    oci.Code
		detail  any
	}{
		{
			name:    "a layer is missing",
			content: h.image(app, func(m *v1.Manifest) { m.Layers[0].Digest = missing }),
			want:    oci.CodeManifestBlobUnknown,
			detail:  map[string][]digest.Digest{"missing": {missing}},
		},
		{
			name:    "the config is missing",
			content: h.image(app, func(m *v1.Manifest) { m.Config.Digest = missing }),
			want:    oci.CodeManifestBlobUnknown,
			detail:  map[string][]digest.Digest{"missing": {missing}},
		},
		{
			name:    "an index's child is missing",
			content: marshal(t, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{child}}),
			want:    oci.CodeManifestBlobUnknown,
			detail:  map[string][]digest.Digest{"missing": {missing}},
		},
		{
			name:    "the digest is another one",
			ref:     oci.Reference{Digest: missing},
			content: h.image(app, nil),
			want:    oci.CodeDigestInvalid,
			detail:  map[string]string{"digest": missing.String()},
		},
		{name: "it is no JSON", content: []byte("{"), want: oci.CodeManifestInvalid},
		{name: "it is too large", content: bytes.Repeat([]byte(" "), oci.MaxManifestSize+1), want: oci.CodeTooLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ref := test.ref
			if ref == (oci.Reference{}) {
				ref.Tag = "refused"
			}
			_, err := h.PutManifest(t.Context(), app, registry.ManifestPush{Reference: ref, Content: test.content})
			expectCode(t, test.want, err)
			var refusal *oci.Error
			if errors.As(err, &refusal); test.detail != nil {
				if diff := cmp.Diff(test.detail, refusal.Detail); diff != "" {
					t.Errorf("detail (-want +got):\n%s", diff)
				}
			}
			if got := h.manifestCode(app, ref); got != oci.CodeManifestUnknown {
				t.Errorf("it is served all the same: %q", got)
			}
		})
	}
}

func TestASubjectMayComeLater(t *testing.T) {
	h := newHouse(t)
	subject := digest.FromString("not pushed yet")
	content := h.image(app, func(m *v1.Manifest) {
		m.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: subject, Size: 3}
	})
	receipt, err := h.PutManifest(t.Context(), app, registry.ManifestPush{Reference: oci.Reference{Tag: "sig"}, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Subject != subject {
		t.Errorf("subject %q, want %q", receipt.Subject, subject)
	}
}

func TestOnePushSetsSeveralTags(t *testing.T) {
	h := newHouse(t)
	content := h.image(app, nil)
	d := digest.SHA512.FromBytes(content)
	receipt, err := h.PutManifest(t.Context(), app, registry.ManifestPush{Reference: oci.Reference{Digest: d}, Tags: []string{"b", "a"}, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(registry.ManifestReceipt{Digest: d, Tags: []string{"b", "a"}}, receipt); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	list, _, err := h.Tags(t.Context(), oci.Caller{}, app, oci.TagPage{Limit: 10})
	if diff := cmp.Diff(oci.TagList{Tags: []string{"a", "b"}}, list); diff != "" || err != nil {
		t.Errorf("tags (-want +got):\n%s%v", diff, err)
	}
}

func TestDeletion(t *testing.T) {
	h := newHouse(t)
	content := h.image(app, nil)
	d := h.tag(app, "v1", content)
	h.tag(app, "v2", content)

	if err := h.DeleteTag(t.Context(), app, "v1"); err != nil {
		t.Fatal(err)
	}
	if got := h.manifestCode(app, oci.Reference{Tag: "v1"}); got != oci.CodeManifestUnknown {
		t.Errorf("the deleted tag answers %q", got)
	}
	if got := h.manifestCode(app, oci.Reference{Digest: d}); got != "" {
		t.Errorf("the manifest went with one of its tags: %q", got)
	}
	if err := h.DeleteManifest(t.Context(), app, d); err != nil {
		t.Fatal(err)
	}
	if got := h.manifestCode(app, oci.Reference{Tag: "v2"}); got != oci.CodeManifestUnknown {
		t.Errorf("a tag of the deleted manifest answers %q", got)
	}
	expectCode(t, oci.CodeManifestUnknown, h.DeleteManifest(t.Context(), app, d))
	expectCode(t, oci.CodeManifestUnknown, h.DeleteTag(t.Context(), app, "v2"))
	expectCode(t, oci.CodeBlobUnknown, h.DeleteBlob(t.Context(), app, digest.FromString("nowhere")))
}

func TestADeletedTagDoesNotComeBackWithItsManifest(t *testing.T) {
	h := newHouse(t)
	content := h.image(app, nil)
	d := h.tag(app, "v1", content)
	h.manifestCode(app, oci.Reference{Tag: "v1"})
	if err := h.DeleteManifest(t.Context(), app, d); err != nil {
		t.Fatal(err)
	}
	if _, err := h.PutManifest(t.Context(), app, registry.ManifestPush{Reference: oci.Reference{Digest: d}, Content: content}); err != nil {
		t.Fatal(err)
	}
	if got := h.manifestCode(app, oci.Reference{Tag: "v1"}); got != oci.CodeManifestUnknown {
		t.Errorf("the tag answers %q", got)
	}
}

// TestNobodySeesAnOlderTagThanWasAcknowledged moves a tag while others read it: what
// they read may never be older than what was acknowledged before they asked.
func TestNobodySeesAnOlderTagThanWasAcknowledged(t *testing.T) {
	h := newHouse(t)
	const moves = 40
	order := map[digest.Digest]int{}
	var contents [][]byte
	for i := range moves {
		content := h.image(app, func(m *v1.Manifest) { m.Annotations = map[string]string{"move": strconv.Itoa(i)} })
		contents, order[digest.FromBytes(content)] = append(contents, content), i
	}
	h.tag(app, "latest", contents[0])
	var (
		mu           sync.Mutex
		acknowledged int
		readers      sync.WaitGroup
	)
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				least := acknowledged
				mu.Unlock()
				got, _, err := h.StatManifest(t.Context(), oci.Caller{}, app, oci.Reference{Tag: "latest"})
				if err != nil || order[got.Digest] < least {
					t.Errorf("read move %d after move %d was acknowledged: %v", order[got.Digest], least, err)
					return
				}
			}
		})
	}
	for i := 1; i < moves; i++ {
		h.tag(app, "latest", contents[i])
		mu.Lock()
		acknowledged = i
		mu.Unlock()
	}
	close(done)
	readers.Wait()
}

func TestProjects(t *testing.T) {
	h := newHouse(t)
	if err := h.db.Projects.Create(t.Context(), metadata.Project{Name: "docker-hub", Kind: metadata.Cache}); err != nil {
		t.Fatal(err)
	}
	if err := h.EnsureProject(t.Context(), "demo", "bob"); err != nil {
		t.Errorf("a project that is there already: %v", err)
	}
	expectCode(t, oci.CodeUnsupported, h.EnsureProject(t.Context(), "docker-hub", "bob"))
	expectCode(t, oci.CodeNameInvalid, h.EnsureProject(t.Context(), "ratelimitpreview", "bob"))
	expectCode(t, oci.CodeNameInvalid, h.EnsureProject(t.Context(), "a/b", "bob"))
	expectCode(t, oci.CodeNameInvalid, h.EnsureProject(t.Context(), "Demo", "bob"))
	expectCode(t, oci.CodeNameUnknown, h.PutBlob(t.Context(), "nowhere/app", digest.FromString(""), bytes.NewReader(nil)))
	hosted, err := h.HostedProjects(t.Context())
	if diff := cmp.Diff([]string{"demo"}, hosted); diff != "" || err != nil {
		t.Errorf("hosted projects (-want +got):\n%s%v", diff, err)
	}
}
