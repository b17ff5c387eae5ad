package oci_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

func TestEveryDigestThatAManifestNamesIsFound(t *testing.T) {
	a, b := digest.FromString("a"), digest.SHA512.FromString("b")
	tests := []struct {
		name, content string
		want          []digest.Digest
	}{
		{"an image names its config and its layers", `{"config":{"digest":"A"},"layers":[{"digest":"B"},{"digest":"A"}]}`, []digest.Digest{a, b}},
		{"a layer that need not be there is found", `{"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"A"}]}`, []digest.Digest{a}},
		{"fields that nobody knows count", `{"mediaType":"application/x","parts":{"B":["A"]}}`, []digest.Digest{b, a}},
		{"an escaped digest is one", `{"x":"sha256\u003a` + a.Encoded() + `"}`, []digest.Digest{a}},
		{"a longer text is none", `{"x":"demo/app@A"}`, nil},
		{"what comes before an error counts", `{"x":"A","y":`, []digest.Digest{a}},
		{"text that is no JSON names nothing", `A`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			content := strings.NewReplacer(`"A"`, `"`+a.String()+`"`, `@A`, `@`+a.String(), `"B"`, `"`+b.String()+`"`).Replace(tt.content)
			if diff := cmp.Diff(tt.want, oci.NamedDigests([]byte(content))); diff != "" {
				t.Errorf("digests (-want +got):\n%s", diff)
			}
		})
	}
}
