package distribution_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// requirement is one demand on registries in the OCI Distribution specification, 1.1
// or its main branch.
type requirement struct {
	section string
	demand  string // MUST and SHOULD as the specification has them, in our words
	check   func(t *testing.T, f *fixture)
}

func TestTheSpecification(t *testing.T) {
	var all []requirement
	all = append(all, pullRequirements()...)
	all = append(all, uploadRequirements()...)
	all = append(all, chunkRequirements()...)
	all = append(all, manifestRequirements()...)
	all = append(all, discoveryRequirements()...)
	all = append(all, managementRequirements()...)
	all = append(all, generalRequirements()...)
	for _, r := range all {
		t.Run(r.section+"/"+r.demand, func(t *testing.T) { r.check(t, newFixture(t)) })
	}
}

func managementRequirements() []requirement {
	remove := func(f *fixture, path string) response { return f.do(request{method: "DELETE", path: path}) }
	return []requirement{
		{"Deleting tags", "MUST be answered with 202, and the manifest stays", func(t *testing.T, f *fixture) {
			content := f.image("demo/app", nil)
			f.pushManifest("demo/app", "v1", content).expect(t, 201, "")
			remove(f, "/v2/demo/app/manifests/v1").expect(t, 202, "")
			f.get("/v2/demo/app/manifests/v1").expect(t, 404, oci.CodeManifestUnknown)
			f.get("/v2/demo/app/manifests/"+digest.FromBytes(content).String()).expect(t, 200, "")
			remove(f, "/v2/demo/app/manifests/v1").expect(t, 404, oci.CodeManifestUnknown)
		}},
		{"Deleting Manifests", "MUST be answered with 202, and its tags go too; 404 without a repository", func(t *testing.T, f *fixture) {
			content := f.image("demo/app", nil)
			d := digest.FromBytes(content).String()
			f.pushManifest("demo/app", "v1", content).expect(t, 201, "")
			remove(f, "/v2/demo/app/manifests/"+d).expect(t, 202, "")
			f.get("/v2/demo/app/manifests/v1").expect(t, 404, oci.CodeManifestUnknown)
			f.get("/v2/demo/app/manifests/"+d).expect(t, 404, oci.CodeManifestUnknown)
			remove(f, "/v2/demo/app/manifests/"+d).expect(t, 404, oci.CodeManifestUnknown)
			remove(f, "/v2/nowhere/app/manifests/"+d).expect(t, 404, oci.CodeManifestUnknown)
		}},
		{"Deleting Blobs", "MUST be answered with 202, or 404 where it is not", func(t *testing.T, f *fixture) {
			d := f.pushBlob("demo/app", []byte("hello"), digest.SHA256).String()
			f.pushBlob("demo/other", []byte("hello"), digest.SHA256)
			remove(f, "/v2/demo/app/blobs/"+d).expect(t, 202, "")
			f.get("/v2/demo/app/blobs/"+d).expect(t, 404, oci.CodeBlobUnknown)
			remove(f, "/v2/demo/app/blobs/"+d).expect(t, 404, oci.CodeBlobUnknown)
			f.get("/v2/demo/other/blobs/"+d).expect(t, 200, "")
		}},
	}
}

func generalRequirements() []requirement {
	return []requirement{
		{"Determining Support", "/v2/ answers 200, with and without the slash", func(t *testing.T, f *fixture) {
			f.get("/v2/").expect(t, 200, "").header(t, "Docker-Distribution-Api-Version", "registry/2.0")
			f.get("/v2").expect(t, 200, "")
		}},
		{"API", "methods that an endpoint does not have are answered with 405 and Allow (RFC 9110)", func(t *testing.T, f *fixture) {
			f.do(request{method: "POST", path: "/v2/demo/app/manifests/v1"}).expect(t, 405, oci.CodeUnsupported).header(t, "Allow", "DELETE, GET, HEAD, PUT")
			f.do(request{method: "PUT", path: "/v2/demo/app/tags/list"}).expect(t, 405, oci.CodeUnsupported).header(t, "Allow", "GET, HEAD")
			f.get("/v2/demo/app/blobs/uploads/").expect(t, 405, oci.CodeUnsupported).header(t, "Allow", "POST")
		}},
		{"Error Codes", "a JSON body of errors MUST have code, message and detail, whatever is asked", func(t *testing.T, f *fixture) {
			for _, path := range []string{"/v2/nothing", "/v2/demo/app", "/v2/demo/app/nothing", "/v2/demo/app/manifests/", "/v2//manifests/v1", "/v2/demo/app/blobs/latest"} {
				got := f.get(path)
				list := unmarshal[struct {
					Errors []struct{ Code, Message string }
				}](t, got.body)
				if got.StatusCode/100 != 4 || len(list.Errors) != 1 || !regexp.MustCompile(`^[A-Z_]+$`).MatchString(list.Errors[0].Code) || list.Errors[0].Message == "" {
					t.Errorf("%s answered %d %s", path, got.StatusCode, got.body)
				}
			}
		}},
		{"Registry Proxying", "an ns that scopes the request SHOULD be answered in OCI-Namespace", func(t *testing.T, f *fixture) {
			f.cache("docker-hub")
			f.get("/v2/library/nginx/manifests/latest?ns=docker.io").expect(t, 200, "").header(t, "OCI-Namespace", "docker.io")
			f.get("/v2/library/nginx/manifests/latest?ns=nowhere.example").expect(t, 404, oci.CodeNameUnknown)
		}},
		{"Warnings", "MUST have code 299, no agent, no date, and at most 4096 bytes", func(t *testing.T, f *fixture) {
			cache := f.cache("docker-hub")
			cache.served.Warning = `stale "copy"` + "\r\n" + strings.Repeat("é", 4096)
			got := f.get("/v2/docker-hub/library/nginx/manifests/latest").expect(t, 200, "").Header.Get("Warning")
			if len(got) > 4096 || !strings.HasPrefix(got, `299 - "stale \"copy\"  `) || !strings.HasSuffix(got, `"`) {
				t.Errorf("%d bytes: %.60s", len(got), got)
			}
		}},
		{"Error Codes", "429 SHOULD have Retry-After", func(t *testing.T, f *fixture) {
			f.cache("docker-hub").err = &oci.Error{Code: oci.CodeTooManyRequests, Message: "wait", RetryAfter: 1500e6}
			f.get("/v2/docker-hub/library/nginx/manifests/latest").expect(t, 429, oci.CodeTooManyRequests).header(t, "Retry-After", "2")
		}},
	}
}
