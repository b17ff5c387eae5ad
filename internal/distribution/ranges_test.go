package distribution_test

import (
	"context"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

func TestARangeIsAnsweredOrIgnoredOrRefused(t *testing.T) {
	const content = "hello world"
	const whole, part, none = 200, 206, 416
	d := digest.FromString(content)
	current := `"` + d.String() + `"`
	tests := []struct {
		name   string
		header map[string]string
		status int
		want   string
	}{
		{name: "the first bytes", header: map[string]string{"Range": "bytes=0-4"}, status: part, want: "hello"},
		{name: "the last bytes", header: map[string]string{"Range": "bytes=-5"}, status: part, want: "world"},
		{name: "more last bytes than there are", header: map[string]string{"Range": "bytes=-99"}, status: part, want: content},
		{name: "a unit in upper case", header: map[string]string{"Range": "BYTES=0-4"}, status: part, want: "hello"},
		{name: "the last 0 bytes", header: map[string]string{"Range": "bytes=-0"}, status: none},
		{name: "the last 0 bytes, written long", header: map[string]string{"Range": "bytes= - 00"}, status: none},
		{name: "behind the end", header: map[string]string{"Range": "bytes=11-"}, status: none},
		{name: "no range at all", header: map[string]string{"Range": "bytes=x-y"}, status: none},
		{name: "backwards", header: map[string]string{"Range": "bytes=4-0"}, status: none},
		{name: "an unknown unit", header: map[string]string{"Range": "items=0-1"}, status: whole, want: content},
		{name: "a unit without a range", header: map[string]string{"Range": "bytes"}, status: whole, want: content},
		{name: "a range of what is current", header: map[string]string{"Range": "bytes=0-4", "If-Range": current}, status: part, want: "hello"},
		{name: "a range of what is not current", header: map[string]string{"Range": "bytes=0-4", "If-Range": `"other"`}, status: whole, want: content},
		{name: "behind the end of what is current", header: map[string]string{"Range": "bytes=11-", "If-Range": current}, status: none},
		{name: "behind the end of what is not current", header: map[string]string{"Range": "bytes=11-", "If-Range": `"other"`}, status: whole, want: content},
		{name: "behind the end of what the client has", header: map[string]string{"Range": "bytes=11-", "If-None-Match": current}, status: 304},
		{name: "behind the end of what the client does not want", header: map[string]string{"Range": "bytes=-0", "If-Match": `"other"`}, status: 412},
	}
	f := newFixture(t)
	cache := f.cache("docker-hub")
	f.pushBlob("demo/app", []byte(content), digest.SHA256)
	for _, repo := range []string{"demo/app", "docker-hub/library/nginx"} {
		for _, test := range tests {
			t.Run(test.name+" of "+repo, func(t *testing.T) {
				blob := newArriving([]byte(content))
				blob.verdict <- nil
				cache.blob = func(context.Context) oci.Blob { return blob }
				q := request{method: "GET", path: "/v2/" + repo + "/blobs/" + d.String(), header: test.header}
				if test.status == none {
					f.do(q).expect(t, none, oci.CodeRangeInvalid).header(t, "Content-Range", "bytes */11").
						header(t, "Content-Type", "application/json")
					return
				}
				if got := f.do(q).expect(t, test.status, ""); string(got.body) != test.want {
					t.Errorf("got %q, want %q", got.body, test.want)
				}
			})
		}
	}
}

func TestOneGoodRangeIsEnough(t *testing.T) {
	f := newFixture(t)
	path := "/v2/demo/app/blobs/" + f.pushBlob("demo/app", []byte("hello world"), digest.SHA256).String()
	got := f.do(request{method: "GET", path: path, header: map[string]string{"Range": "bytes=-0, 0-4"}}).expect(t, 206, "")
	if string(got.body) != "hello" {
		t.Errorf("got %q", got.body)
	}
}

func TestAnEmptyBlobHasNoRanges(t *testing.T) {
	f := newFixture(t)
	path := "/v2/demo/app/blobs/" + f.pushBlob("demo/app", nil, digest.SHA256).String()
	for _, asked := range []string{"bytes=0-", "bytes=-0", "bytes=x", "items=0-1"} {
		f.do(request{method: "GET", path: path, header: map[string]string{"Range": asked}}).expect(t, 200, "")
	}
}

func TestABlobOfUnknownSizeHasNoRanges(t *testing.T) {
	f := newFixture(t)
	cache := f.cache("docker-hub")
	for _, asked := range []string{"bytes=0-1", "bytes=-0", "bytes=99-", "bytes=x"} {
		blob := newArriving([]byte("hello"))
		blob.size = -1
		blob.verdict <- nil
		cache.blob = func(context.Context) oci.Blob { return blob }
		path := "/v2/docker-hub/library/nginx/blobs/" + digest.FromString("hello").String()
		got := f.do(request{method: "GET", path: path, header: map[string]string{"Range": asked}}).expect(t, 200, "")
		if string(got.body) != "hello" {
			t.Errorf("%s: got %q", asked, got.body)
		}
	}
}

func TestAManifestHasTheSameRanges(t *testing.T) {
	f := newFixture(t)
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
	ask := func(asked string) response {
		return f.do(request{method: "GET", path: "/v2/demo/app/manifests/v1", header: map[string]string{"Range": asked}})
	}
	ask("bytes=-0").expect(t, 416, oci.CodeRangeInvalid)
	ask("items=0-1").expect(t, 200, "")
	if got := ask("bytes=0-0").expect(t, 206, ""); string(got.body) != "{" {
		t.Errorf("got %q", got.body)
	}
}
