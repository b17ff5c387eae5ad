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

func pullRequirements() []requirement {
	return []requirement{
		{"Pulling manifests", "an existing manifest MUST be answered with 200, its bytes, its type and its digest", func(t *testing.T, f *fixture) {
			content := append([]byte("\n"), f.image("demo/app", nil)...)
			d := digest.FromBytes(content).String()
			f.pushManifest("demo/app", "v1", content).expect(t, 201, "")
			for _, ref := range []string{"v1", d} {
				got := f.get("/v2/demo/app/manifests/"+ref).expect(t, 200, "").
					header(t, "Docker-Content-Digest", d).header(t, "Content-Type", v1.MediaTypeImageManifest).header(t, "ETag", `"`+d+`"`)
				if !bytes.Equal(content, got.body) {
					t.Errorf("%s: got other bytes than were pushed: %s", ref, got.body)
				}
			}
		}},
		{"Pulling manifests", "a manifest that is not there MUST be answered with 404", func(t *testing.T, f *fixture) {
			f.pushBlob("demo/app", nil, digest.SHA256)
			for _, ref := range []string{"latest", ".no-tag", digest.FromString("x").String()} {
				f.get("/v2/demo/app/manifests/"+ref).expect(t, 404, oci.CodeManifestUnknown)
			}
		}},
		{"Pulling manifests", "a reference that is neither tag nor digest is refused", func(t *testing.T, f *fixture) {
			f.get("/v2/demo/app/manifests/sha256:abc").expect(t, 400, oci.CodeDigestInvalid)
			f.pushManifest("demo/app", ".no-tag", f.image("demo/app", nil)).expect(t, 400, oci.CodeTagInvalid)
		}},
		{"Pulling manifests", "a name that does not match the grammar is refused", func(t *testing.T, f *fixture) {
			for _, name := range []string{"Demo/app", "demo/app_", "demo//app", "demo/..", "demo%2Fapp", "demo/app%00", "demo/" + strings.Repeat("a", 256)} {
				f.get("/v2/"+name+"/manifests/latest").expect(t, 400, oci.CodeNameInvalid)
			}
		}},
		{"Pulling manifests", "names of any depth are served", func(t *testing.T, f *fixture) {
			const repo = "demo/a/manifests/b/blobs/c/tags/list"
			f.pushManifest(repo, "v1", f.image(repo, nil)).expect(t, 201, "")
			f.get("/v2/"+repo+"/manifests/v1").expect(t, 200, "")
			f.get("/v2/"+repo+"/tags/list").expect(t, 200, "")
		}},
		{"Pulling blobs", "an existing blob MUST be answered with 200, its bytes and its digest", func(t *testing.T, f *fixture) {
			for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
				for _, content := range [][]byte{[]byte("hello"), {}} {
					d := f.pushBlob("demo/app", content, alg).String()
					got := f.get("/v2/demo/app/blobs/"+d).expect(t, 200, "").
						header(t, "Docker-Content-Digest", d).header(t, "Content-Length", fmt.Sprint(len(content)))
					if !bytes.Equal(content, got.body) {
						t.Errorf("got %q, want %q", got.body, content)
					}
				}
			}
		}},
		{"Pulling blobs", "a blob that is not there MUST be answered with 404", func(t *testing.T, f *fixture) {
			d := f.pushBlob("demo/app", []byte("hello"), digest.SHA256).String()
			f.get("/v2/demo/app/blobs/"+digest.FromString("x").String()).expect(t, 404, oci.CodeBlobUnknown)
			f.get("/v2/demo/other/blobs/"+d).expect(t, 404, oci.CodeBlobUnknown)
			f.get("/v2/demo/app/blobs/sha256:abc").expect(t, 400, oci.CodeDigestInvalid)
		}},
		{"Pulling blobs", "the Range header SHOULD be supported", func(t *testing.T, f *fixture) {
			path := "/v2/demo/app/blobs/" + f.pushBlob("demo/app", []byte("0123456789"), digest.SHA256).String()
			ask := func(header map[string]string) response {
				return f.do(request{method: "GET", path: path, header: header})
			}
			got := ask(map[string]string{"Range": "bytes=2-4"}).expect(t, 206, "").header(t, "Content-Range", "bytes 2-4/10")
			if string(got.body) != "234" {
				t.Errorf("got %q", got.body)
			}
			if got := ask(map[string]string{"Range": "bytes=-3"}).expect(t, 206, ""); string(got.body) != "789" {
				t.Errorf("got %q", got.body)
			}
			if got := ask(map[string]string{"Range": "bytes=0-0,9-9"}).expect(t, 206, ""); !strings.HasPrefix(got.Header.Get("Content-Type"), "multipart/byteranges") {
				t.Errorf("several ranges came as %s", got.Header.Get("Content-Type"))
			}
			ask(map[string]string{"Range": "bytes=10-"}).expect(t, 416, oci.CodeRangeInvalid).header(t, "Content-Range", "bytes */10")
			ask(map[string]string{"Range": "bytes=2-4", "If-Range": `"another"`}).expect(t, 200, "")
		}},
		{"Pulling blobs", "conditional requests follow RFC 9110", func(t *testing.T, f *fixture) {
			d := f.pushBlob("demo/app", []byte("hello"), digest.SHA256).String()
			f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
			for _, method := range []string{"GET", "HEAD"} {
				for _, path := range []string{"/v2/demo/app/blobs/" + d, "/v2/demo/app/manifests/v1"} {
					tag := f.get(path).Header.Get("ETag")
					f.do(request{method: method, path: path, header: map[string]string{"If-None-Match": tag}}).expect(t, 304, "")
					f.do(request{method: method, path: path, header: map[string]string{"If-None-Match": `"another"`}}).expect(t, 200, "")
				}
			}
		}},
		{"Checking if content exists in the registry", "HEAD MUST answer 200 with digest and length, or 404", func(t *testing.T, f *fixture) {
			manifest := f.image("demo/app", nil)
			f.pushManifest("demo/app", "v1", manifest).expect(t, 201, "")
			d := f.pushBlob("demo/app", []byte("hello"), digest.SHA256).String()
			head := func(path string) response { return f.do(request{method: "HEAD", path: path}) }
			head("/v2/demo/app/manifests/v1").expect(t, 200, "").header(t, "Content-Type", v1.MediaTypeImageManifest).
				header(t, "Docker-Content-Digest", digest.FromBytes(manifest).String()).header(t, "Content-Length", fmt.Sprint(len(manifest)))
			head("/v2/demo/app/blobs/"+d).expect(t, 200, "").header(t, "Docker-Content-Digest", d).header(t, "Content-Length", "5")
			for _, path := range []string{"manifests/v2", "manifests/.no-tag", "blobs/" + digest.FromString("x").String()} {
				if got := head("/v2/demo/app/"+path).expect(t, 404, ""); len(got.body) != 0 {
					t.Errorf("HEAD %s has a body", path)
				}
			}
			f.do(request{method: "HEAD", path: "/v2/demo/app/blobs/" + d, header: map[string]string{"Range": "bytes=1-2"}}).expect(t, 200, "")
		}},
	}
}
