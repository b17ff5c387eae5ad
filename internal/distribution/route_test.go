package distribution

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

const (
	someUpload = "0b2c8f6e-8c3e-4b0a-9a52-0123456789ab"
	someDigest = digest.Digest("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
)

func TestAPathIsParsedOnce(t *testing.T) {
	tests := []struct {
		name string
		path string
		want route
		code oci.Code
	}{
		{name: "the base", path: "/v2/", want: route{endpoint: endpointBase}},
		{name: "the base without its slash", path: "/v2", want: route{endpoint: endpointBase}},
		{name: "the catalog", path: "/v2/_catalog", want: route{endpoint: endpointCatalog}},
		{name: "a manifest by tag", path: "/v2/demo/app/manifests/v1", want: route{endpoint: endpointManifest, name: "demo/app", reference: oci.Reference{Tag: "v1"}}},
		{name: "a manifest by digest", path: "/v2/demo/app/manifests/" + someDigest.String(), want: route{endpoint: endpointManifest, name: "demo/app", reference: oci.Reference{Digest: someDigest}}},
		{name: "a digest whose colon is encoded", path: "/v2/demo/app/manifests/" + strings.Replace(someDigest.String(), ":", "%3A", 1), want: route{endpoint: endpointManifest, name: "demo/app", reference: oci.Reference{Digest: someDigest}}},
		{name: "a blob", path: "/v2/demo/app/blobs/" + someDigest.String(), want: route{endpoint: endpointBlob, name: "demo/app", digest: someDigest}},
		{name: "a name of one segment, which ns may complete", path: "/v2/nginx/manifests/v1", want: route{endpoint: endpointManifest, name: "nginx", reference: oci.Reference{Tag: "v1"}}},
		{name: "uploads", path: "/v2/demo/app/blobs/uploads/", want: route{endpoint: endpointUploads, name: "demo/app"}},
		{name: "uploads without the slash", path: "/v2/demo/app/blobs/uploads", want: route{endpoint: endpointUploads, name: "demo/app"}},
		{name: "an upload", path: "/v2/demo/app/blobs/uploads/" + someUpload, want: route{endpoint: endpointUpload, name: "demo/app", upload: someUpload}},
		{name: "tags", path: "/v2/demo/app/tags/list", want: route{endpoint: endpointTags, name: "demo/app"}},
		{name: "referrers", path: "/v2/demo/app/referrers/" + someDigest.String(), want: route{endpoint: endpointReferrers, name: "demo/app", digest: someDigest}},
		{name: "a name made of endpoints", path: "/v2/blobs/uploads/manifests/tags/list/manifests/v1", want: route{endpoint: endpointManifest, name: "blobs/uploads/manifests/tags/list", reference: oci.Reference{Tag: "v1"}}},
		{name: "an encoded slash", path: "/v2/demo%2Fapp/manifests/v1", code: oci.CodeNameInvalid},
		{name: "an encoded slash in a reference", path: "/v2/demo/app/manifests/v1%2f..", code: oci.CodeNameInvalid},
		{name: "a percent sign alone", path: "/v2/demo/app/manifests/%zz", code: oci.CodeNameInvalid},
		{name: "a way up", path: "/v2/demo/../app/manifests/v1", code: oci.CodeNameInvalid},
		{name: "an encoded way up", path: "/v2/demo/%2e%2e/manifests/v1", code: oci.CodeNameInvalid},
		{name: "a double slash", path: "/v2/demo//app/manifests/v1", code: oci.CodeNameInvalid},
		{name: "no name", path: "/v2//manifests/v1", code: oci.CodeNameInvalid},
		{name: "a zero byte", path: "/v2/demo/app%00/tags/list", code: oci.CodeNameInvalid},
		{name: "upper case", path: "/v2/demo/App/tags/list", code: oci.CodeNameInvalid},
		{name: "a bad name is told before a bad digest", path: "/v2/demo/App/blobs/x", code: oci.CodeNameInvalid},
		{name: "a bad digest", path: "/v2/demo/app/blobs/x", want: route{name: "demo/app"}, code: oci.CodeDigestInvalid},
		{name: "a tag that cannot be", path: "/v2/demo/app/manifests/.x", want: route{name: "demo/app"}, code: oci.CodeManifestUnknown},
		{name: "an upload that is no UUID", path: "/v2/demo/app/blobs/uploads/{" + someUpload + "}", want: route{name: "demo/app"}, code: oci.CodeBlobUploadUnknown},
		{name: "nothing that is known", path: "/v2/demo/app/layers/v1", code: oci.CodeNameUnknown},
		{name: "another version", path: "/v3/demo/app/manifests/v1", code: oci.CodeNameUnknown},
		{name: "an endpoint without a name", path: "/v2/tags/list", code: oci.CodeNameUnknown},
		{name: "a path without end", path: "/v2/" + strings.Repeat("a/", maxPath) + "tags/list", code: oci.CodeNameInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseRoute(http.MethodGet, test.path)
			if code := oci.CodeOf(err); code != test.code || (err != nil) != (code != "") {
				t.Fatalf("error %v, want code %q", err, test.code)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(route{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestATagThatCannotBeIsRefusedOnlyWhereItWouldBeMade(t *testing.T) {
	for method, want := range map[string]oci.Code{http.MethodPut: oci.CodeTagInvalid, http.MethodHead: oci.CodeManifestUnknown, http.MethodDelete: oci.CodeManifestUnknown} {
		if _, err := parseRoute(method, "/v2/demo/app/manifests/-x"); oci.CodeOf(err) != want {
			t.Errorf("%s: %v, want %s", method, err, want)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for _, seed := range []string{"/v2/", "/v2/_catalog", "/v2/demo/app/manifests/v1", "/v2/a/blobs/uploads/" + someUpload, "/v2/a%2Fb/tags/list", "/v2/a/referrers/" + someDigest.String()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u := url.URL{Path: path}
		for _, escaped := range []string{path, u.EscapedPath()} {
			got, err := parseRoute(http.MethodGet, escaped)
			if err != nil {
				if oci.CodeOf(err) == "" {
					t.Fatalf("an error without a code: %v", err)
				}
				continue
			}
			if got.name != "" && oci.CheckName(got.name) != nil {
				t.Fatalf("%q was let through as the name %q", escaped, got.name)
			}
			if got.endpoint == "" || (got.name == "") != (got.endpoint == endpointBase || got.endpoint == endpointCatalog) {
				t.Fatalf("%q became %+v", escaped, got)
			}
		}
	})
}

func TestAContentRange(t *testing.T) {
	for given, want := range map[string]chunk{"0-0": {0, 1}, "0-9": {0, 10}, "10-10": {10, 1}} {
		if got, err := parseContentRange(given); got != want || err != nil {
			t.Errorf("%q is %v, %v, want %v", given, got, err, want)
		}
	}
	for _, given := range []string{"", "-", "0", "0-", "-0", "1-0", "0-0-0", " 0-1", "0-1 ", "+0-1", "0--1", "bytes=0-1", "bytes 0-1/2", "0x0-1", "0-99999999999999999999"} {
		if got, err := parseContentRange(given); oci.CodeOf(err) != oci.CodeRangeInvalid {
			t.Errorf("%q is %v, %v", given, got, err)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"0-0", "5-9", "9-5", "0-9223372036854775807", "a-b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseContentRange(s)
		if err != nil {
			if oci.CodeOf(err) != oci.CodeRangeInvalid {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if got.start < 0 || got.length <= 0 {
			t.Fatalf("%q became %+v", s, got)
		}
	})
}
