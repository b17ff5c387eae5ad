package chaos_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

// failing is a server whose storage is about to fail. It holds an image that was
// pushed and one that was pulled through the cache.
type failing struct {
	t      *testing.T
	hub    *hubsim.Hub
	server *server
	client *client
	pusher *pusher
	quiet  *neighbor
	hosted []string // paths of what was pushed, each ending with its digest
	layer  content  // hosted[1]
}

func newFailing(t *testing.T, folder string) *failing {
	t.Helper()
	hub := newHub(t, hubsim.Options{})
	f := &failing{t: t, hub: hub, server: newServer(t, filepath.Join(folder, "data"), hub)}
	f.client = f.server.start()
	f.quiet = newNeighbor(t, f.client, hub)
	f.pusher = &pusher{client: f.client, shelf: newShelf("demo/app"), rng: choices(t, 300)}
	config, layer := newContent(f.pusher.rng.Uint64(), 200), newContent(f.pusher.rng.Uint64(), 200_000)
	f.layer = layer
	made := newImage(config, layer)
	for _, c := range []content{config, layer} {
		if err := f.pusher.postWhole(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if a := f.push(http.MethodPut, "/manifests/1", string(made.raw), made.mediaType); !a.ok() {
		t.Fatalf("pushing an image: %s", a)
	}
	f.hosted = append(blobPaths("demo/app", made.refers), f.pusher.path("/manifests/"+made.digest.String()))
	return f
}

// push sends one request that changes something; a server that hangs fails the test.
func (f *failing) push(method, rest, body, mediaType string) answer {
	f.t.Helper()
	a, err := f.client.do(f.t.Context(), request{
		method: method, path: f.pusher.path(rest), body: strings.NewReader(body), size: int64(len(body)),
		header: map[string]string{"Content-Type": mediaType},
	})
	if err != nil {
		f.t.Errorf("%s %s: %v", method, rest, err)
	}
	return a
}

// everyPush tries each kind of push once, with content that is new.
func (f *failing) everyPush() map[string]answer {
	f.t.Helper()
	text := fmt.Sprintf("%d%s", f.pusher.rng.Uint64(), strings.Repeat("x", 100_000))
	index := newIndex()
	answers := map[string]answer{
		"a blob in one request": f.push(http.MethodPost, "/blobs/uploads/?digest="+digest.FromString(text).String(), text, ""),
		"an upload":             f.push(http.MethodPost, "/blobs/uploads/", "", ""),
		"a manifest":            f.push(http.MethodPut, fmt.Sprintf("/manifests/t%d", f.pusher.rng.Uint64()), string(index.raw), index.mediaType),
		"a tag's deletion":      f.push(http.MethodDelete, "/manifests/gone", "", ""),
	}
	return answers
}

// refused fails the test unless the answers say what the matter is: one of these
// statuses, a code, a text, and when to come again if that is soon.
func (f *failing) refused(answers map[string]answer, statuses ...int) {
	f.t.Helper()
	for what, a := range answers {
		code, message := a.problem()
		if !slices.Contains(statuses, a.status) || code == "" || message == "" {
			f.t.Errorf("%s was answered with %s, want one of %v and an explanation", what, a, statuses)
		}
		if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
			f.t.Errorf("%s: the answer does not say when to try again: %s", what, a)
		}
	}
}

// pulls fails the test unless everything that is stored can be pulled at once. Pulls that
// wait for what fails are slow each time, and those of a machine that pauses are not.
func (f *failing) pulls() {
	f.t.Helper()
	began := time.Now()
	f.pullStored()
	if time.Since(began) <= slowest {
		return
	}
	began = time.Now()
	f.pullStored()
	if took := time.Since(began); took > slowest {
		f.t.Errorf("pulling what is stored took %s", took)
	}
}

func (f *failing) pullStored() {
	f.t.Helper()
	f.quiet.pull(f.t.Context())
	for _, path := range f.hosted {
		if err := f.client.whole(f.t.Context(), path); err != nil {
			f.t.Error(err)
		}
	}
	for _, path := range []string{"/v2/demo/app/manifests/1", "/v2/docker-hub/library/quiet/manifests/latest", "/v2/demo/app/tags/list", "/healthz"} {
		if a, err := f.client.get(f.t.Context(), path); err != nil || !a.ok() {
			f.t.Errorf("GET %s: %s, %v", path, a, err)
		}
	}
	// Reading back has a second, which a busy machine may miss.
	until(f.t, "it is ready", func() bool {
		a, err := f.client.get(f.t.Context(), "/readyz")
		return err == nil && a.ok()
	})
}

// coldPull asks for what is not stored: it may be refused, and neither hang nor lie.
func (f *failing) coldPull() {
	f.t.Helper()
	name := fmt.Sprintf("library/cold%d", f.pusher.rng.Uint32())
	pushed := f.hub.AddImage(name, "latest", hubsim.Image{Seed: f.pusher.rng.Uint64(), LayerSizes: []int64{400_000}})
	for _, path := range []string{"/v2/docker-hub/" + name + "/manifests/latest", blobPaths("docker-hub/"+name, []digest.Digest{pushed.Manifests[0].Layers[0].Digest})[0]} {
		ctx, cancel := context.WithTimeout(f.t.Context(), requestLimit)
		began := time.Now()
		a, err := f.client.get(ctx, path)
		cancel()
		code, _ := a.problem()
		f.t.Logf("a cold pull of a %s: status %d %s, error %v, after %s", strings.Split(path, "/")[5], a.status, code, err, time.Since(began).Round(time.Millisecond))
		if ctx.Err() == context.DeadlineExceeded {
			f.t.Errorf("GET %s hangs", path)
		}
		if err == nil && a.ok() && a.digest != pushed.Digest && !strings.HasSuffix(path, a.digest.String()) {
			f.t.Errorf("GET %s: %v", path, errWrongBytes)
		}
	}
}

// accepted fails the test unless every push succeeds again.
func (f *failing) accepted(answers map[string]answer) {
	f.t.Helper()
	for what, a := range answers {
		if !a.ok() && a.status != http.StatusNotFound { // the tag to be deleted is not there
			f.t.Errorf("%s does not succeed again: %s", what, a)
		}
	}
}

func (f *failing) restart() {
	f.t.Helper()
	f.client = f.server.start()
	f.pusher.client, f.quiet.client = f.client, f.client
}
