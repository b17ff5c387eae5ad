package registry_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

func TestTagsComeInPages(t *testing.T) {
	h := newHouse(t)
	content := h.image(app, nil)
	for _, tag := range []string{"b", "a", "B", "c"} {
		h.tag(app, tag, content)
	}
	h.pushBlob(other, []byte("a blob and no tag"))
	tests := []struct {
		name string
		repo oci.Repository
		page oci.TagPage
		want oci.TagList
		code oci.Code
	}{
		{name: "all of them, bytewise", repo: app, page: oci.TagPage{Limit: 10}, want: oci.TagList{Tags: []string{"B", "a", "b", "c"}}},
		{name: "a first page", repo: app, page: oci.TagPage{Limit: 2}, want: oci.TagList{Tags: []string{"B", "a"}, More: true}},
		{name: "a last page that is full", repo: app, page: oci.TagPage{Last: "a", Limit: 2}, want: oci.TagList{Tags: []string{"b", "c"}}},
		{name: "after a tag that does not exist", repo: app, page: oci.TagPage{Last: "aa", Limit: 1}, want: oci.TagList{Tags: []string{"b"}, More: true}},
		{name: "none asked for", repo: app, page: oci.TagPage{}, want: oci.TagList{Tags: []string{}}},
		{name: "a repository without tags", repo: other, page: oci.TagPage{Limit: 2}},
		{name: "no repository", repo: "demo/nowhere", page: oci.TagPage{Limit: 2}, code: oci.CodeNameUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := h.Tags(t.Context(), oci.Caller{}, test.repo, test.page)
			expectCode(t, test.code, err)
			if diff := cmp.Diff(test.want, got, cmpEmpty()); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
		})
	}
}

// cmpEmpty takes no tags and an empty list of tags for the same.
func cmpEmpty() cmp.Option {
	return cmp.FilterValues(func(a, b []string) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())
}

func TestReferrersTellTypeAndAnnotations(t *testing.T) {
	h := newHouse(t)
	subject := &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("subject"), Size: 7}
	signature := h.image(app, func(m *v1.Manifest) {
		m.Subject, m.ArtifactType, m.Annotations = subject, "application/example.signature", map[string]string{"by": "alice"}
	})
	sbom := h.image(app, func(m *v1.Manifest) { m.Subject, m.Config.MediaType = subject, "application/example.sbom" })
	h.tag(app, "signature", signature)
	h.tag(app, "sbom", sbom)
	describe := func(content []byte, artifactType string, annotations map[string]string) v1.Descriptor {
		return v1.Descriptor{
			MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(content), Size: int64(len(content)),
			ArtifactType: artifactType, Annotations: annotations,
		}
	}
	tests := []struct {
		name         string
		repo         oci.Repository
		artifactType string
		want         map[digest.Digest]v1.Descriptor
	}{
		{name: "all of them", repo: app, want: map[digest.Digest]v1.Descriptor{
			digest.FromBytes(signature): describe(signature, "application/example.signature", map[string]string{"by": "alice"}),
			digest.FromBytes(sbom):      describe(sbom, "application/example.sbom", nil),
		}},
		{name: "those of one type", repo: app, artifactType: "application/example.sbom", want: map[digest.Digest]v1.Descriptor{
			digest.FromBytes(sbom): describe(sbom, "application/example.sbom", nil),
		}},
		{name: "none in another repository", repo: other, want: map[digest.Digest]v1.Descriptor{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			content, filtered, _, err := h.Referrers(t.Context(), oci.Caller{}, test.repo, subject.Digest, test.artifactType)
			if err != nil {
				t.Fatal(err)
			}
			var index v1.Index
			if err := json.Unmarshal(content, &index); err != nil {
				t.Fatal(err)
			}
			got := map[digest.Digest]v1.Descriptor{}
			for _, d := range index.Manifests {
				got[d.Digest] = d
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("referrers (-want +got):\n%s", diff)
			}
			if filtered != (test.artifactType != "") || index.Manifests == nil {
				t.Errorf("filtered %v, manifests %v", filtered, index.Manifests)
			}
		})
	}
}

func TestRepositoriesComeInOrder(t *testing.T) {
	h := newHouse(t)
	h.pushBlob(other, []byte("1"))
	h.pushBlob(app, []byte("1"))
	got, err := h.Repositories(t.Context(), "demo/app", 10)
	if diff := cmp.Diff([]string{"demo/other"}, got); diff != "" || err != nil {
		t.Errorf("repositories (-want +got):\n%s%v", diff, err)
	}
}
