package hubsim

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func decode(t *testing.T, body string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
}

// code is the first error code of an answer.
func code(t *testing.T, got answer) string {
	t.Helper()
	var body struct{ Errors []apiError }
	decode(t, got.body, &body)
	if len(body.Errors) == 0 {
		t.Fatalf("no error in %q", got.body)
	}
	return body.Errors[0].Code
}

func TestAManifestIsServedByTagAndByDigest(t *testing.T) {
	hub := start(t, Options{})
	pushed := hub.AddImage("library/nginx", "latest", Image{Platforms: twoPlatforms})
	b := newBrowser(t, hub)
	for _, reference := range []string{"latest", pushed.Digest.String()} {
		for method, body := range map[string]string{http.MethodGet: string(pushed.Raw), http.MethodHead: ""} {
			got := b.pull(method, "library/nginx", "manifests/"+reference)
			if got.status != 200 || got.body != body {
				t.Errorf("%s %s: %d %q", method, reference, got.status, got.body)
			}
			headers := []string{got.header.Get("Docker-Content-Digest"), got.header.Get("Content-Type")}
			if diff := cmp.Diff([]string{pushed.Digest.String(), ocispec.MediaTypeImageIndex}, headers); diff != "" {
				t.Errorf("%s %s: headers (-want +got):\n%s", method, reference, diff)
			}
		}
	}
}

func TestWhatIsMissingIsAnsweredInEachShape(t *testing.T) {
	unknown := digest.FromString("unknown").String()
	for _, test := range []struct {
		name       string
		shape      Shape
		repository string
		rest       string
		status     int
		code       string
	}{
		{"a missing tag", DockerHub, "library/nginx", "manifests/none", 404, "MANIFEST_UNKNOWN"},
		{"a missing digest", DockerHub, "library/nginx", "manifests/" + unknown, 404, "MANIFEST_UNKNOWN"},
		{"a missing blob", DockerHub, "library/nginx", "blobs/" + unknown, 404, "BLOB_UNKNOWN"},
		{"a missing repository looks private", DockerHub, "acme/nothing", "tags/list", 401, "UNAUTHORIZED"},
		{"elsewhere it is missing", Generic, "acme/nothing", "tags/list", 404, "NAME_UNKNOWN"},
		{"and a private one denied", Generic, "acme/secret", "manifests/latest", 403, "DENIED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hub := start(t, Options{Shape: test.shape})
			hub.AddImage("library/nginx", "latest", Image{})
			hub.AddImage("acme/secret", "latest", Image{})
			hub.SetPrivate("acme/secret", true)
			got := newBrowser(t, hub).pull(http.MethodGet, test.repository, test.rest)
			if got.status != test.status || code(t, got) != test.code {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, test.status, test.code)
			}
		})
	}
}

func TestAManifestInAFormThatTheClientDoesNotAccept(t *testing.T) {
	hub := start(t, Options{})
	list := hub.AddImage("a/list", "latest", Image{Platforms: twoPlatforms, Format: Docker})
	index := hub.AddImage("a/index", "latest", Image{Platforms: twoPlatforms})
	plain := hub.AddImage("a/plain", "latest", Image{})
	for _, test := range []struct {
		name, repository, accept string
		status                   int
		want                     digest.Digest
	}{
		{"no header takes anything", "a/index", "", 200, index.Digest},
		{"neither does a wildcard refuse", "a/index", "text/html, */*;q=0.1", 200, index.Digest},
		{"a list accepted", "a/list", dockerManifest + ", " + dockerManifestList, 200, list.Digest},
		{"a list not accepted turns into linux/amd64", "a/list", dockerManifest, 200, list.Manifests[0].Digest},
		{"an index not accepted is refused", "a/index", dockerManifest, 404, ""},
		{"so is an OCI manifest", "a/plain", dockerManifest, 404, ""},
		{"an OCI manifest accepted", "a/plain", ocispec.MediaTypeImageManifest, 200, plain.Digest},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBrowser(t, hub)
			var headers []string
			if test.accept != "" {
				headers = append(headers, "Accept: "+test.accept)
			}
			got := b.pull(http.MethodGet, test.repository, "manifests/latest", headers...)
			if got.status != test.status || got.header.Get("Docker-Content-Digest") != test.want.String() {
				t.Errorf("got %d %s, want %d %s", got.status, got.header.Get("Docker-Content-Digest"), test.status, test.want)
			}
		})
	}
}

func TestTagsAreListedInPages(t *testing.T) {
	hub := start(t, Options{TagPage: 3})
	for _, tag := range []string{"d", "b", "a", "c"} {
		hub.AddImage("library/nginx", tag, Image{})
	}
	b := newBrowser(t, hub)
	for _, test := range []struct{ query, tags, link string }{
		{"", "a b c", `</v2/library/nginx/tags/list?last=c&n=3>; rel="next"`},
		{"?n=2", "a b", `</v2/library/nginx/tags/list?last=b&n=2>; rel="next"`},
		{"?n=2&last=b", "c d", ""},
		{"?last=bb", "c d", ""},
		{"?last=z", "", ""},
		{"?n=0", "", ""},
	} {
		got := b.pull(http.MethodGet, "library/nginx", "tags/list"+test.query)
		var list struct {
			Name string
			Tags []string
		}
		decode(t, got.body, &list)
		if list.Name != "library/nginx" || strings.Join(list.Tags, " ") != test.tags || got.header.Get("Link") != test.link {
			t.Errorf("%q: %s, link %q", test.query, got.body, got.header.Get("Link"))
		}
	}
	if got := b.pull(http.MethodGet, "library/nginx", "tags/list?n=many"); got.status != 400 {
		t.Errorf("n=many: status %d, want 400", got.status)
	}
}

func TestReferrersAreListedWhereTheRegistryKnowsThem(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		status  int
	}{
		{"not by Docker Hub", Options{}, 404},
		{"by Docker Hub when told so", Options{Referrers: true}, 200},
		{"by others", Options{Shape: Generic}, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			hub := start(t, test.options)
			image := hub.AddImage("library/nginx", "latest", Image{})
			signature := marshal(ocispec.Manifest{ArtifactType: "application/x-signature", Subject: &image.Descriptor})
			signed := hub.AddManifest("library/nginx", "", ocispec.MediaTypeImageManifest, signature)
			b := newBrowser(t, hub)
			for query, want := range map[string]int{"": 1, "?artifactType=application/x-signature": 1, "?artifactType=other": 0} {
				got := b.pull(http.MethodGet, "library/nginx", "referrers/"+image.Digest.String()+query)
				if got.status != test.status {
					t.Fatalf("%q: status %d, want %d", query, got.status, test.status)
				}
				var index ocispec.Index
				if test.status == 200 {
					decode(t, got.body, &index)
				} else {
					want = 0
				}
				if len(index.Manifests) != want || (want > 0 && index.Manifests[0].Digest != signed) {
					t.Errorf("%q: %s", query, got.body)
				}
			}
		})
	}
}

func TestWhatIsStoredCanBeMovedHiddenAndDeleted(t *testing.T) {
	hub := start(t, Options{})
	first := hub.AddImage("library/nginx", "latest", Image{Seed: 1})
	second := hub.AddImage("library/nginx", "", Image{Seed: 2})
	b := newBrowser(t, hub)
	expect := func(step string, status int, want digest.Digest) {
		t.Helper()
		got := b.pull(http.MethodHead, "library/nginx", "manifests/latest")
		if got.status != status || got.header.Get("Docker-Content-Digest") != want.String() {
			t.Errorf("%s: %d %s, want %d %s", step, got.status, got.header.Get("Docker-Content-Digest"), status, want)
		}
	}
	expect("at first", 200, first.Digest)
	if err := hub.MoveTag("library/nginx", "latest", second.Digest); err != nil {
		t.Fatal(err)
	}
	expect("after moving the tag", 200, second.Digest)
	moved, restore := hub.TagMoved("library/nginx", "latest", Image{Seed: 3})
	expect("while it is moved", 200, moved.Digest)
	restore()
	expect("after it is moved back", 200, second.Digest)
	restore = hub.RepositoryGone("library/nginx")
	expect("while the repository is gone", 401, "")
	restore()
	restore()
	expect("when it is back", 200, second.Digest)
	hub.SetPrivate("library/nginx", true)
	expect("when it is private", 401, "")
	hub.SetPrivate("library/nginx", false)
	hub.DeleteTag("library/nginx", "latest")
	expect("without the tag", 404, "")
	hub.Delete("library/nginx")
	expect("when it is deleted", 401, "")
	if err := hub.MoveTag("library/nginx", "latest", first.Digest); err == nil {
		t.Error("a tag was moved in a repository that does not exist")
	}
	hub.AddManifest("library/nginx", "other", ocispec.MediaTypeImageManifest, []byte("{}"))
	if err := hub.MoveTag("library/nginx", "latest", first.Digest); err == nil {
		t.Error("a tag was moved to a manifest that does not exist")
	}
}

func TestNothingIsWrittenThroughTheAPI(t *testing.T) {
	hub := start(t, Options{})
	hub.AddImage("library/nginx", "latest", Image{})
	b := newBrowser(t, hub)
	if got := b.pull(http.MethodPut, "library/nginx", "manifests/latest"); got.status != 405 || code(t, got) != "UNSUPPORTED" {
		t.Errorf("PUT of a manifest: %d %s", got.status, got.body)
	}
	if got := b.ask(http.MethodPost, hub.AuthURL()+"/token"); got.status != 405 {
		t.Errorf("POST for a token: %d", got.status)
	}
}
