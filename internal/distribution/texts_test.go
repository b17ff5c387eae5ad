package distribution_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

// message is the first error's text.
func (r response) message(t *testing.T) string {
	t.Helper()
	list := unmarshal[struct{ Errors []struct{ Message string } }](t, r.body)
	if len(list.Errors) == 0 {
		t.Fatalf("no error in %s", r.body)
	}
	return list.Errors[0].Message
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	tests := []struct {
		name   string
		asked  request
		status int
		code   oci.Code
		want   string
	}{
		{
			name: "a name of one segment, which may be a project's own", asked: request{method: "GET", path: "/v2/docker-hub/tags/list"}, status: 400, code: oci.CodeNameInvalid,
			want: `repository "docker-hub" has no project: write PROJECT/docker-hub, for example demo/docker-hub; Docker Hub's docker-hub is docker-hub/library/docker-hub; if docker-hub is a project, add a repository, as in docker-hub/app`,
		},
		{name: "no reference to pull", asked: request{method: "GET", path: "/v2/demo/app/manifests/"}, status: 404, code: oci.CodeManifestUnknown, want: "the path ends without a tag or a digest"},
		{name: "no reference to push to", asked: request{method: "PUT", path: "/v2/demo/app/manifests/"}, status: 400, code: oci.CodeTagInvalid, want: "the path ends without a tag or a digest"},
		{name: "a manifest without a body", asked: request{method: "PUT", path: "/v2/demo/app/manifests/v1"}, status: 400, code: oci.CodeManifestInvalid, want: "the request has no body: send the manifest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, f.do(test.asked).expect(t, test.status, test.code).message(t)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheMirrorSaysWhatItIsFor(t *testing.T) {
	f, _ := mirrored(t, distribution.Mirror{})
	for _, q := range []request{
		{method: "GET", path: "/v2/_catalog"}, {method: "GET", path: "/v2/library/nginx/blobs/uploads/"},
		{method: "POST", path: "/v2/library/nginx/blobs/uploads/"}, {method: "PUT", path: "/v2/library/nginx/manifests/latest"},
	} {
		const want = "this listener serves pulls of Docker Hub's images only: use the main listener"
		if diff := cmp.Diff(want, f.do(q).expect(t, 405, oci.CodeUnsupported).message(t)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", q.method, q.path, diff)
		}
	}
}

func TestACacheMarksWhatItRefusesToo(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	for _, test := range []struct {
		asked  request
		status int
		code   oci.Code
	}{
		{request{method: "GET", path: "/manifests/sha256:zzz"}, 400, oci.CodeDigestInvalid},
		{request{method: "GET", path: "/manifests/"}, 404, oci.CodeManifestUnknown},
		{request{method: "GET", path: "/referrers/latest"}, 400, oci.CodeDigestInvalid},
		{request{method: "GET", path: "/blobs/uploads/nothing"}, 404, oci.CodeBlobUploadUnknown},
		{request{method: "GET", path: "/blobs/uploads/"}, 405, oci.CodeUnsupported},
	} {
		q := test.asked
		q.path = "/v2/docker-hub/library/nginx" + test.asked.path
		f.do(q).expect(t, test.status, test.code).header(t, "Cache-Status", "larder")
		q.path = "/v2/demo/app" + test.asked.path
		f.do(q).expect(t, test.status, test.code).header(t, "Cache-Status", "")
	}
}

func TestADescriptionIsCutBetweenCharacters(t *testing.T) {
	for _, service := range []string{strings.Repeat("é", 100), "x" + strings.Repeat("é", 100), strings.Repeat("é", 64)} {
		f := withPassword(t)
		f.post(url.Values{
			"grant_type": {"password"}, "username": {"admin"}, "password": {password}, "access_type": {"offline"}, "service": {service},
		}).expect(t, 200, "")
		tokens, err := f.db.Tokens.List(t.Context(), "admin")
		if err != nil {
			t.Fatal(err)
		}
		made := 0
		for _, token := range tokens {
			if name, ok := strings.CutPrefix(token.Description, "made at login for "); ok {
				made++
				if !utf8.ValidString(name) || len(name) < 127 || len(name) > 128 || !strings.HasPrefix(service, name) {
					t.Errorf("%q became %q", service, name)
				}
			}
		}
		if made != 1 {
			t.Errorf("%d tokens were made", made)
		}
	}
}
