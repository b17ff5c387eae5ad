package imagecopy_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/larder-registry/larder/internal/imagecopy"
)

// registry is one in memory that notes what it is asked, and fails on request.
type registry struct {
	t    *testing.T
	host string
	next http.Handler

	mu   sync.Mutex
	seen []string
	// refuse answers a request itself, where it returns a status.
	refuse func(*http.Request) int
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{t: t, next: fake.New(fake.WithReferrersSupport(true), fake.Logger(discard))}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.seen = append(r.seen, q.Method+" "+q.URL.Path)
	refuse := r.refuse
	r.mu.Unlock()
	if refuse != nil {
		if status := refuse(q); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	r.next.ServeHTTP(w, q)
}

// refusing answers what matches with a status.
func (r *registry) refusing(status int, method, part string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = func(q *http.Request) int {
		if q.Method == method && strings.Contains(q.URL.Path, part) {
			return status
		}
		return 0
	}
}

func (r *registry) healed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = nil
}

// sent counts the requests since the last call that have the method and the path's part.
func (r *registry) sent(method, part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, line := range r.seen {
		if strings.HasPrefix(line, method+" ") && strings.Contains(line, part) {
			n++
		}
	}
	r.seen = nil
	return n
}

func (r *registry) reference(text string) name.Reference {
	r.t.Helper()
	reference, err := name.ParseReference(r.host + "/" + text)
	if err != nil {
		r.t.Fatal(err)
	}
	return reference
}

// newImage makes an image whose config names the platform.
func newImage(t *testing.T, platform v1.Platform, layers int64) v1.Image {
	t.Helper()
	image, err := random.Image(3000, layers)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// push makes an image of two layers.
func (r *registry) push(to string) v1.Image {
	r.t.Helper()
	image := newImage(r.t, amd64, 2)
	if err := remote.Write(r.reference(to), image); err != nil {
		r.t.Fatal(err)
	}
	return image
}

var (
	amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

// pushIndex makes an index of two platforms and an attestation of each.
func (r *registry) pushIndex(to string) v1.ImageIndex {
	r.t.Helper()
	index := mutate.IndexMediaType(mutate.Annotations(empty.Index, map[string]string{"made": "by a test"}).(v1.ImageIndex), types.OCIImageIndex)
	for _, platform := range []v1.Platform{amd64, arm64} {
		unknown := v1.Platform{OS: "unknown", Architecture: "unknown"}
		image, attestation := newImage(r.t, platform, 1), newImage(r.t, unknown, 1)
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}},
			mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{
				Platform:    &unknown,
				Annotations: map[string]string{"vnd.docker.reference.digest": digestOf(r.t, image)},
			}})
	}
	if err := remote.WriteIndex(r.reference(to), index); err != nil {
		r.t.Fatal(err)
	}
	return index
}

// attach pushes a referrer of what has this digest.
func (r *registry) attach(repository string, subject interface {
	Digest() (v1.Hash, error)
	Size() (int64, error)
	MediaType() (types.MediaType, error)
}) string {
	r.t.Helper()
	image := newImage(r.t, amd64, 1)
	hash, err := subject.Digest()
	if err != nil {
		r.t.Fatal(err)
	}
	size, _ := subject.Size()
	mediaType, _ := subject.MediaType()
	referrer := mutate.Subject(mutate.MediaType(image, types.OCIManifestSchema1), v1.Descriptor{MediaType: mediaType, Digest: hash, Size: size}).(v1.Image)
	d := digestOf(r.t, referrer)
	if err := remote.Write(r.reference(repository+"@"+d), referrer); err != nil {
		r.t.Fatal(err)
	}
	return d
}

// digest is what a tag names, or nothing.
func (r *registry) digest(image string) string {
	d, err := remote.Head(r.reference(image))
	if err != nil {
		return ""
	}
	return d.Digest.String()
}

func (r *registry) tags(repository string) []string {
	tags, err := remote.List(r.reference(repository).Context())
	if err != nil {
		return nil
	}
	slices.Sort(tags)
	return tags
}

func digestOf(t *testing.T, what interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// count is a meter that adds up.
type count struct {
	mu         sync.Mutex
	blobs      int
	total, got int64
}

func (c *count) Begin(blobs int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blobs += blobs
	c.total += bytes
}

func (c *count) Add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got += n
}

// newCopier is one on a day of its own: it remembers nothing of earlier copies.
func newCopier(t *testing.T, o imagecopy.Options) *imagecopy.Copier {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	registries, err := imagecopy.Client{Keychain: authn.NewMultiKeychain(), Transport: transport, Jobs: 3}.New()
	if err != nil {
		t.Fatal(err)
	}
	return &imagecopy.Copier{Registries: registries, Options: o, Jobs: 3}
}

func place(t *testing.T, text string) imagecopy.Place {
	t.Helper()
	p, err := imagecopy.Naming{}.Source(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// try copies one image.
func try(t *testing.T, o imagecopy.Options, from, to string) (imagecopy.Result, *count, error) {
	t.Helper()
	var c count
	result, err := newCopier(t, o).Copy(t.Context(), place(t, from), place(t, to), &c)
	return result, &c, err
}

func copied(t *testing.T, o imagecopy.Options, from, to string) imagecopy.Result {
	t.Helper()
	result, c, err := try(t, o, from, to)
	if err != nil {
		t.Fatal(err)
	}
	if c.total != c.got {
		t.Errorf("the meter was told of %d bytes and counted %d", c.total, c.got)
	}
	return result
}
