package distribution_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

func manifestRequirements() []requirement {
	return []requirement{
		{"Pushing Manifests", "a push MUST be answered with 201 and a pullable location, by tag and by digest", func(t *testing.T, f *fixture) {
			content := f.image("demo/app", nil)
			for _, want := range []digest.Digest{digest.FromBytes(content), digest.SHA512.FromBytes(content)} {
				done := f.pushManifest("demo/app", want.String(), content).expect(t, 201, "").header(t, "Docker-Content-Digest", want.String())
				f.get(done.Header.Get("Location")).expect(t, 200, "").header(t, "Docker-Content-Digest", want.String())
			}
			f.pushManifest("demo/app", "v1", content).expect(t, 201, "").header(t, "Docker-Content-Digest", digest.FromBytes(content).String())
		}},
		{"Pushing Manifests", "parameters of the Content-Type SHOULD be ignored, and it SHOULD come back without", func(t *testing.T, f *fixture) {
			f.do(request{method: "PUT", path: "/v2/demo/app/manifests/v1", body: f.image("demo/app", nil), header: map[string]string{"Content-Type": v1.MediaTypeImageManifest + "; charset=utf-8"}}).expect(t, 201, "")
			f.get("/v2/demo/app/manifests/v1").expect(t, 200, "").header(t, "Content-Type", v1.MediaTypeImageManifest)
		}},
		{"Pushing Manifests", "at least 10 tags SHOULD be set by parameters, and each MUST be answered in OCI-Tag", func(t *testing.T, f *fixture) {
			content := f.image("demo/app", nil)
			var query, tags []string
			for i := range 12 {
				tags = append(tags, fmt.Sprintf("v1.%02d", i))
				query = append(query, "tag="+tags[i])
			}
			d := digest.FromBytes(content).String()
			f.pushManifest("demo/app", d+"?"+strings.Join(query, "&"), content).expect(t, 201, "").header(t, "OCI-Tag", strings.Join(tags, ", "))
			for _, tag := range tags {
				f.get("/v2/demo/app/manifests/"+tag).expect(t, 200, "").header(t, "Docker-Content-Digest", d)
			}
			f.pushManifest("demo/app", d+"?tag=.no", content).expect(t, 400, oci.CodeTagInvalid)
			f.pushManifest("demo/app", d+"?"+strings.Repeat("tag=a&", 101), content).expect(t, 400, oci.CodeTagInvalid)
		}},
		{"Pushing Manifests", "manifests of 4 MiB SHOULD be taken, and larger ones SHOULD be answered with 413", func(t *testing.T, f *fixture) {
			content := f.image("demo/app", nil)
			full := append(content, bytes.Repeat([]byte(" "), oci.MaxManifestSize-len(content))...)
			f.pushManifest("demo/app", "full", full).expect(t, 201, "")
			f.pushManifest("demo/app", "over", append(full, ' ')).expect(t, 413, oci.CodeTooLarge)
		}},
		{"Pushing Manifests", "the digest in the URL must be that of the bytes", func(t *testing.T, f *fixture) {
			f.pushManifest("demo/app", digest.FromString("x").String(), f.image("demo/app", nil)).expect(t, 400, oci.CodeDigestInvalid)
			f.pushManifest("demo/app", "v1", []byte("{")).expect(t, 400, oci.CodeManifestInvalid)
		}},
		{"Push", "what refers to missing content MUST result in MANIFEST_BLOB_UNKNOWN", func(t *testing.T, f *fixture) {
			missing := digest.FromString("nowhere")
			content := f.image("demo/app", func(m *v1.Manifest) { m.Layers[0].Digest = missing })
			got := f.pushManifest("demo/app", "v1", content).expect(t, 400, oci.CodeManifestBlobUnknown)
			if !bytes.Contains(got.body, []byte(missing)) {
				t.Errorf("the error does not name %s: %s", missing, got.body)
			}
			nonDistributable := f.image("demo/app", func(m *v1.Manifest) {
				m.Layers[0] = v1.Descriptor{MediaType: v1.MediaTypeImageLayerNonDistributableGzip, Digest: missing, Size: 1} //nolint:staticcheck // old images have them
			})
			f.pushManifest("demo/app", "v1", nonDistributable).expect(t, 201, "")
		}},
		{"Pushing Manifests with Subject", "a missing subject MUST be accepted, and OCI-Subject MUST be answered", func(t *testing.T, f *fixture) {
			subject := digest.FromString("not there yet")
			content := f.image("demo/app", func(m *v1.Manifest) {
				m.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: subject, Size: 1}
			})
			f.pushManifest("demo/app", "sig", content).expect(t, 201, "").header(t, "OCI-Subject", subject.String())
			f.pushManifest("demo/app", "plain", f.image("demo/app", nil)).expect(t, 201, "").header(t, "OCI-Subject", "")
		}},
		{"Pushing Manifests", "Docker's schema 2 is served as it was pushed, schema 1 is refused", func(t *testing.T, f *fixture) {
			content := f.image("demo/app", func(m *v1.Manifest) { m.MediaType = oci.MediaTypeDockerManifest })
			push := func(mediaType string, body []byte) response {
				return f.do(request{method: "PUT", path: "/v2/demo/app/manifests/v1", body: body, header: map[string]string{"Content-Type": mediaType}})
			}
			push(oci.MediaTypeDockerManifest, content).expect(t, 201, "")
			f.get("/v2/demo/app/manifests/v1").expect(t, 200, "").header(t, "Content-Type", oci.MediaTypeDockerManifest)
			refused := push("application/vnd.docker.distribution.manifest.v1+json", []byte(`{"schemaVersion":1,"name":"old/app","tag":"7"}`))
			refused.expect(t, 400, oci.CodeManifestInvalid)
			line := "skopeo copy --format v2s2 --dest-tls-verify=false docker://SOURCE docker://" + strings.TrimPrefix(f.URL, "http://") + "/demo/app:v1"
			if !strings.Contains(string(refused.body), line) {
				t.Errorf("%s lacks the line that converts the image:\n%s", refused.body, line)
			}
		}},
	}
}
