package oci_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

var (
	configDigest  = digest.FromString("config")
	layerDigest   = digest.FromString("layer")
	subjectDigest = digest.FromString("subject")
)

func descriptorJSON(mediaType string, d digest.Digest, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":7%s}`, mediaType, d, more)
}

func imageJSON(layerType string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s],"subject":%s}`,
		v1.MediaTypeImageManifest,
		descriptorJSON(v1.MediaTypeImageConfig, configDigest, ""),
		descriptorJSON(layerType, layerDigest, ""),
		descriptorJSON(v1.MediaTypeImageManifest, subjectDigest, ""))
}

func TestAnImageRefersToItsConfigItsLayersAndItsSubject(t *testing.T) {
	content, err := oci.ParseManifest(v1.MediaTypeImageManifest, []byte(imageJSON(v1.MediaTypeImageLayerGzip)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]digest.Digest{configDigest, layerDigest}, content.Blobs()); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
	if content.Subject == nil || content.Subject.Digest != subjectDigest {
		t.Errorf("subject is %+v", content.Subject)
	}
	if content.ArtifactType != v1.MediaTypeImageConfig {
		t.Errorf("without an artifactType the config's media type counts, got %q", content.ArtifactType)
	}
}

func TestNonDistributableLayersNeedNotBePresent(t *testing.T) {
	for _, layerType := range []string{
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	} {
		content, err := oci.ParseManifest("", []byte(imageJSON(layerType)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]digest.Digest{configDigest}, content.Blobs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", layerType, diff)
		}
	}
}

func TestAnIndexKeepsThePlatformsOfItsChildren(t *testing.T) {
	child := descriptorJSON(v1.MediaTypeImageManifest, layerDigest, `,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}`)
	content, err := oci.ParseManifest("", []byte(`{"schemaVersion":2,"manifests":[`+child+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	if !content.Index() || len(content.Manifests) != 1 || content.Manifests[0].Key() != "linux/arm64/v8/" {
		t.Errorf("got %+v", content)
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	for _, test := range []struct{ name, contentType, content, says string }{
		{"not JSON", v1.MediaTypeImageManifest, `{`, "not valid JSON"},
		{"no media type at all", "", `{"schemaVersion":2}`, "no media type"},
		{"a Content-Type that contradicts the manifest", v1.MediaTypeImageIndex, imageJSON(v1.MediaTypeImageLayer), "but the manifest says"},
		{"a Content-Type that cannot be read", "a/b/c;;;", `{}`, "cannot be read"},
		{"an image without a config", v1.MediaTypeImageManifest, `{"schemaVersion":2}`, "no config"},
		{"a layer with a digest that is none", v1.MediaTypeImageManifest,
			strings.Replace(imageJSON(v1.MediaTypeImageLayer), layerDigest.String(), "sha256:12", 1), "layers[0]"},
		{"a negative size", v1.MediaTypeImageManifest,
			strings.Replace(imageJSON(v1.MediaTypeImageLayer), `"size":7`, `"size":-7`, 1), "size -7"},
		{"Docker schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, "skopeo copy --format v2s2"},
		{"Docker schema 1 without a Content-Type", "", `{"schemaVersion":1}`, "skopeo copy --format v2s2"},
		{"more layers than an image can have", v1.MediaTypeImageManifest,
			`{"layers":[` + strings.TrimSuffix(strings.Repeat("{},", 20_001), ",") + `]}`, "the limit is"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := oci.ParseManifest(test.contentType, []byte(test.content))
			if oci.CodeOf(err) != oci.CodeManifestInvalid || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want MANIFEST_INVALID that says %q", err, test.says)
			}
		})
	}
}

func TestAMediaTypeThatIsNotKnownRefersToItsSubjectOnly(t *testing.T) {
	content, err := oci.ParseManifest("application/vnd.example+json", []byte(`{"layers":[{"digest":"x"}]}`))
	if err != nil || len(content.Blobs()) != 0 {
		t.Errorf("got %+v, %v", content, err)
	}
}

func FuzzParseManifestNeverPanicsAndOnlyGivesValidDigests(f *testing.F) {
	f.Add("", []byte(imageJSON(v1.MediaTypeImageLayer)))
	f.Add(v1.MediaTypeImageIndex, []byte(`{"manifests":[{"digest":"sha256:0"}]}`))
	f.Fuzz(func(t *testing.T, contentType string, manifest []byte) {
		content, err := oci.ParseManifest(contentType, manifest)
		if err != nil {
			return
		}
		for _, d := range content.Blobs() {
			if _, err := oci.ParseDigest(d.String()); err != nil {
				t.Errorf("digest %q got through", d)
			}
		}
	})
}
