package e2e_test

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/larder-registry/larder/internal/hubsim"
)

// crane is the library behind crane, as the admin uses it.
type crane struct {
	t    *testing.T
	wire *wire
}

func newCrane(t *testing.T) crane {
	t.Helper()
	own := &http.Transport{}
	t.Cleanup(own.CloseIdleConnections)
	return crane{t, &wire{next: own}}
}

func (c crane) options(more ...remote.Option) []remote.Option {
	login := &authn.Basic{Username: "admin", Password: adminPassword}
	return append([]remote.Option{
		remote.WithAuth(login), remote.WithTransport(c.wire), remote.WithContext(c.t.Context()),
	}, more...)
}

func (c crane) push(to string, image v1.Image) {
	c.t.Helper()
	if err := remote.Write(reference(c.t, to), image, c.options()...); err != nil {
		c.t.Fatalf("pushing %s: %v", to, err)
	}
}

func (c crane) pull(from string, more ...remote.Option) v1.Image {
	c.t.Helper()
	image, err := remote.Image(reference(c.t, from), c.options(more...)...)
	if err != nil {
		c.t.Fatalf("pulling %s: %v", from, err)
	}
	return image
}

func (c crane) tags(repository string) []string {
	c.t.Helper()
	tags, err := remote.List(reference(c.t, repository).Context(), c.options()...)
	if err != nil {
		c.t.Fatalf("listing the tags of %s: %v", repository, err)
	}
	return tags
}

// digestOf is the digest of an image or an index.
func digestOf(t *testing.T, what interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	digest, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// wire counts the requests of a client by method and status.
type wire struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen map[exchange]int
}

// exchange is a kind of request and the answer to it.
type exchange struct {
	method string
	status int
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.seen == nil {
			w.seen = map[exchange]int{}
		}
		w.seen[exchange{r.Method, resp.StatusCode}]++
	}
	return resp, err
}

func (w *wire) count(method string, status int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[exchange{method, status}]
}

func TestCranePushesPullsListsAndDeletes(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	client := newCrane(t)
	image := newImage(t)
	client.push(s.main+"/demo/a/b/c/app:1", image)
	client.push(s.main+"/demo/a/b/c/app:2", newImage(t))

	back := client.pull(s.main + "/demo/a/b/c/app:1")
	if err := validate.Image(back); err != nil || digestOf(t, back) != digestOf(t, image) {
		t.Errorf("got image %s (%v), pushed %s", digestOf(t, back), err, digestOf(t, image))
	}
	if diff := cmp.Diff([]string{"1", "2"}, client.tags(s.main+"/demo/a/b/c/app")); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}

	// By its tag, an image loses that name; by its digest, it goes.
	if err := remote.Delete(reference(t, s.main+"/demo/a/b/c/app:2"), client.options()...); err != nil {
		t.Errorf("deleting a tag: %v", err)
	}
	if diff := cmp.Diff([]string{"1"}, client.tags(s.main+"/demo/a/b/c/app")); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	byDigest := s.main + "/demo/a/b/c/app@" + digestOf(t, image).String()
	if err := remote.Delete(reference(t, byDigest), client.options()...); err != nil {
		t.Errorf("deleting an image: %v", err)
	}
	_, err := remote.Head(reference(t, byDigest), client.options()...)
	if code := statusCode(err); code != http.StatusNotFound {
		t.Errorf("after its deletion the image answers with %d (%v), want 404", code, err)
	}
}

func TestCraneMountsTheLayersOfAnotherRepository(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	newCrane(t).push(s.main+"/demo/base:1", newImage(t))
	client := newCrane(t)

	client.push(s.main+"/other/app:1", client.pull(s.main+"/demo/base:1"))

	// Two layers and the config.
	if mounted := client.wire.count(http.MethodPost, http.StatusCreated); mounted != 3 {
		t.Errorf("%d blobs were mounted, want 3", mounted)
	}
	if err := validate.Image(client.pull(s.main + "/other/app:1")); err != nil {
		t.Error(err)
	}
}

func TestCranePushesAnIndexAndPullsEachPlatform(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	client := newCrane(t)
	amd64, arm64 := v1.Platform{OS: "linux", Architecture: "amd64"}, v1.Platform{OS: "linux", Architecture: "arm64"}
	images := map[string]v1.Image{amd64.Architecture: newImage(t), arm64.Architecture: newImage(t)}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: images["amd64"], Descriptor: v1.Descriptor{Platform: &amd64}},
		mutate.IndexAddendum{Add: images["arm64"], Descriptor: v1.Descriptor{Platform: &arm64}},
	)
	if err := remote.WriteIndex(reference(t, s.main+"/demo/app:1"), index, client.options()...); err != nil {
		t.Fatal(err)
	}

	for _, platform := range []v1.Platform{amd64, arm64} {
		got := client.pull(s.main+"/demo/app:1", remote.WithPlatform(platform))
		if want := images[platform.Architecture]; digestOf(t, got) != digestOf(t, want) || validate.Image(got) != nil {
			t.Errorf("for %s came %s (%v), want %s", platform, digestOf(t, got), validate.Image(got), digestOf(t, want))
		}
	}
}

func TestCraneCopiesFromTheCacheToAHostedProjectWithoutTheHub(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", hubImage(1))
	client := newCrane(t)
	cached := client.pull(s.main + "/docker-hub/nginx:latest")
	if err := validate.Image(cached); err != nil {
		t.Fatal(err)
	}
	s.hubSaw(image, 1,
		"GET /v2/library/nginx/blobs/CONFIG-A 307",
		"GET /v2/library/nginx/blobs/LAYER-A1 307",
		"GET /v2/library/nginx/blobs/LAYER-A2 307",
		"GET /v2/library/nginx/manifests/latest 200",
	)

	client.push(s.main+"/demo/nginx:latest", cached)

	if err := validate.Image(client.pull(s.main + "/demo/nginx:latest")); err != nil {
		t.Error(err)
	}
	s.hubSawNothing()
}

func TestCraneListsWhatIsThere(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	client := newCrane(t)
	client.push(s.main+"/demo/b:1", newImage(t))
	client.push(s.main+"/demo/a:1", newImage(t))
	registry, err := name.NewRegistry(s.main, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}

	got, err := remote.Catalog(t.Context(), registry, client.options()...)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"demo/a", "demo/b"}; !slices.Equal(got, want) {
		t.Errorf("the catalog holds %v, want %v", got, want)
	}
}

func statusCode(err error) int {
	if failure, ok := errors.AsType[*transport.Error](err); ok {
		return failure.StatusCode
	}
	return 0
}
