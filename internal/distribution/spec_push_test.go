package distribution_test

import (
	"bytes"
	"net/http"
	"regexp"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

func uploadRequirements() []requirement {
	content := []byte("the content of a blob")
	d := digest.FromBytes(content).String()
	return []requirement{
		{"POST then PUT", "POST MUST answer 202 with a location that holds a UUID, PUT MUST answer 201 with a pullable location", func(t *testing.T, f *fixture) {
			started := f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/"}).expect(t, 202, "")
			location := started.Header.Get("Location")
			id := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindString(location)
			started.header(t, "Docker-Upload-UUID", id).header(t, "Range", "0-0").header(t, "Content-Length", "0")
			done := f.do(request{method: "PUT", path: location + "?digest=" + d, body: content}).expect(t, 201, "").header(t, "Docker-Content-Digest", d)
			if got := f.get(done.Header.Get("Location")).expect(t, 200, ""); !bytes.Equal(content, got.body) {
				t.Errorf("got %q", got.body)
			}
		}},
		{"POST then PUT", "a path without the last slash starts an upload too", func(t *testing.T, f *fixture) {
			f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads"}).expect(t, 202, "")
		}},
		{"Single POST", "POST with a digest MUST answer 201 with a pullable location", func(t *testing.T, f *fixture) {
			done := f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/?digest=" + d, body: content}).expect(t, 201, "").header(t, "Docker-Content-Digest", d)
			f.get(done.Header.Get("Location")).expect(t, 200, "")
		}},
		{"Pushing blobs", "an invalid, unsupported or wrong digest SHOULD be answered with 400", func(t *testing.T, f *fixture) {
			wrong := digest.FromString("x").String()
			for _, given := range []string{wrong, "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", ""} {
				f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/?digest=" + given, body: content}).expect(t, 400, oci.CodeDigestInvalid)
				f.do(request{method: "PUT", path: f.startUpload("demo/app", "") + "?digest=" + given, body: content}).expect(t, 400, oci.CodeDigestInvalid)
			}
			f.do(request{method: "PUT", path: f.startUpload("demo/app", ""), body: content}).expect(t, 400, oci.CodeDigestInvalid)
			f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/?digest-algorithm=md5"}).expect(t, 400, oci.CodeDigestInvalid)
			f.get("/v2/demo/app/blobs/"+wrong).expect(t, 404, oci.CodeBlobUnknown)
		}},
		{"Mounting a blob from another repository", "a mount MUST be answered with 201 and a pullable location", func(t *testing.T, f *fixture) {
			f.pushBlob("demo/app", content, digest.SHA256)
			done := f.do(request{method: "POST", path: "/v2/demo/other/blobs/uploads/?mount=" + d + "&from=demo/app"}).expect(t, 201, "").header(t, "Docker-Content-Digest", d)
			if location := done.Header.Get("Location"); location != "/v2/demo/other/blobs/"+d {
				t.Errorf("location %s", location)
			}
			f.get(done.Header.Get("Location")).expect(t, 200, "")
		}},
		{"Mounting a blob from another repository", "what cannot be mounted SHOULD be answered with 202 and an upload", func(t *testing.T, f *fixture) {
			f.pushBlob("demo/app", content, digest.SHA256)
			for _, query := range []string{
				"mount=" + digest.FromString("x").String() + "&from=demo/app", "mount=" + d + "&from=demo/nowhere",
				"mount=" + d + "&from=nowhere/app", "mount=" + d,
			} {
				location := f.startUpload("demo/other", "?"+query)
				f.do(request{method: "DELETE", path: location}).expect(t, 204, "")
			}
			f.do(request{method: "POST", path: "/v2/demo/other/blobs/uploads/?mount=sha256:x&from=demo/app"}).expect(t, 400, oci.CodeDigestInvalid)
			f.do(request{method: "POST", path: "/v2/demo/other/blobs/uploads/?mount=" + d + "&from=Demo"}).expect(t, 400, oci.CodeNameInvalid)
		}},
		{"Cancel a blob upload", "DELETE SHOULD answer 204, and the upload is gone", func(t *testing.T, f *fixture) {
			location := f.startUpload("demo/app", "")
			f.do(request{method: "PATCH", path: location, body: content}).expect(t, 202, "")
			f.do(request{method: "DELETE", path: location}).expect(t, 204, "")
			f.do(request{method: "DELETE", path: location}).expect(t, 404, oci.CodeBlobUploadUnknown)
			f.get(location).expect(t, 404, oci.CodeBlobUploadUnknown)
			f.do(request{method: "PATCH", path: location, body: content}).expect(t, 404, oci.CodeBlobUploadUnknown)
			f.do(request{method: "PUT", path: location + "?digest=" + d, body: content}).expect(t, 404, oci.CodeBlobUploadUnknown)
			f.get("/v2/demo/app/blobs/uploads/no-uuid").expect(t, 404, oci.CodeBlobUploadUnknown)
		}},
	}
}

func chunkRequirements() []requirement {
	content := []byte("0123456789")
	d := digest.FromBytes(content).String()
	patch := func(f *fixture, location, contentRange string, body []byte) response {
		header := map[string]string{}
		if contentRange != "" {
			header["Content-Range"] = contentRange
		}
		return f.do(request{method: "PATCH", path: location, body: body, header: header})
	}
	return []requirement{
		{"Pushing a blob in chunks", "each chunk MUST be answered with 202, Location and Range, the end with 201", func(t *testing.T, f *fixture) {
			location := f.startUpload("demo/app", "")
			location = patch(f, location, "0-3", content[:4]).expect(t, 202, "").header(t, "Range", "0-3").Header.Get("Location")
			location = patch(f, location, "4-6", content[4:7]).expect(t, 202, "").header(t, "Range", "0-6").Header.Get("Location")
			f.get(location).expect(t, 204, "").header(t, "Range", "0-6").header(t, "Location", location)
			done := f.do(request{method: "PUT", path: location + "?digest=" + d, body: content[7:], header: map[string]string{"Content-Range": "7-9"}}).expect(t, 201, "")
			if got := f.get(done.Header.Get("Location")); !bytes.Equal(content, got.body) {
				t.Errorf("got %q", got.body)
			}
		}},
		{"Pushing a blob in chunks", "the session may be closed by a PUT without a body", func(t *testing.T, f *fixture) {
			location := f.startUpload("demo/app", "")
			patch(f, location, "0-9", content).expect(t, 202, "")
			f.do(request{method: "PUT", path: location + "?digest=" + d}).expect(t, 201, "")
		}},
		{"Pushing a blob in chunks", "a chunk out of order MUST be answered with 416, and the status tells the offset", func(t *testing.T, f *fixture) {
			location := f.startUpload("demo/app", "")
			patch(f, location, "0-3", content[:4]).expect(t, 202, "")
			for _, wrong := range []string{"0-3", "3-6", "5-8"} {
				patch(f, location, wrong, content[:4]).expect(t, 416, oci.CodeRangeInvalid).header(t, "Location", location).header(t, "Range", "0-3")
				f.do(request{method: "PUT", path: location + "?digest=" + d, body: content[:4], header: map[string]string{"Content-Range": wrong}}).expect(t, 416, oci.CodeRangeInvalid)
			}
			f.get(location).expect(t, 204, "").header(t, "Range", "0-3")
			patch(f, location, "4-9", content[4:]).expect(t, 202, "")
			f.do(request{method: "PUT", path: location + "?digest=" + d}).expect(t, 201, "")
		}},
		{"Pushing a blob in chunks", "a Content-Range that cannot be read, or that is not the length, is refused", func(t *testing.T, f *fixture) {
			location := f.startUpload("demo/app", "")
			for _, wrong := range []string{"0", "3-0", "-3", "0-", "bytes 0-3/10", "0-3-4", "+0-3"} {
				patch(f, location, wrong, content[:4]).expect(t, 416, oci.CodeRangeInvalid)
			}
			patch(f, location, "0-5", content[:4]).expect(t, 400, oci.CodeSizeInvalid)
			f.get(location).expect(t, 204, "").header(t, "Range", "0-0")
		}},
		{"Pushing a blob in chunks", "digest-algorithm names the algorithm; without it any works", func(t *testing.T, f *fixture) {
			want := digest.SHA512.FromBytes(content).String()
			for _, query := range []string{"?digest-algorithm=sha512", ""} {
				location := f.startUpload("demo/app", query)
				patch(f, location, "", content).expect(t, 202, "")
				f.do(request{method: "PUT", path: location + "?digest=" + want}).expect(t, 201, "").header(t, "Docker-Content-Digest", want)
			}
			f.get("/v2/demo/app/blobs/"+want).expect(t, 200, "")
		}},
		{"Pushing a blob in chunks", "a stream of unknown length is one chunk", func(t *testing.T, f *fixture) {
			location := f.startUpload("demo/app", "")
			r, err := http.NewRequestWithContext(t.Context(), "PATCH", f.url(location), struct{ *bytes.Buffer }{bytes.NewBuffer(content)})
			if err != nil {
				t.Fatal(err)
			}
			r.SetBasicAuth("admin", f.secrets["admin"])
			got, err := f.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = got.Body.Close() }()
			if r.ContentLength != 0 || got.StatusCode != 202 || got.Header.Get("Range") != "0-9" {
				t.Errorf("answered %s with Range %q", got.Status, got.Header.Get("Range"))
			}
		}},
		{"Pushing a blob in chunks", "an upload survives a restart", func(t *testing.T, f *fixture) {
			location := f.startUpload("demo/app", "")
			patch(f, location, "0-3", content[:4]).expect(t, 202, "")
			f.restart()
			f.get(location).expect(t, 204, "").header(t, "Range", "0-3")
			f.do(request{method: "PUT", path: location + "?digest=" + d, body: content[4:]}).expect(t, 201, "")
			f.get("/v2/demo/app/blobs/"+d).expect(t, 200, "")
		}},
	}
}
