package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
	"github.com/larder-registry/larder/internal/testkit"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// replicaPatience bounds what takes a second where a machine is not busy.
const replicaPatience = time.Minute

// replicas are two servers on one database and one storage, and a balancer before them.
type replicas struct {
	t        *testing.T
	hub      *hubsim.Hub
	database string // its URL
	bucket   *s3test.Service
	a, b     *server
	mirror   string // the address of a's mirror listener
}

// newReplicas starts them with further lines of configuration.
func newReplicas(t *testing.T, hub *hubsim.Hub, configuration string) *replicas {
	t.Helper()
	return startReplicas(t, hub, configuration, os.Getenv(binaryVariable))
}

// startReplicas starts them as the given program.
func startReplicas(t *testing.T, hub *hubsim.Hub, configuration, program string) *replicas {
	t.Helper()
	database := metadatatest.NewPostgreSQL(t)
	bucket, err := s3test.Versitygw()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bucket.Stop)
	r := &replicas{t: t, hub: hub, database: database.Database(t), bucket: bucket, mirror: testkit.NewAddress(t)}
	r.a = r.replica(configuration, "--mirror-listen", r.mirror)
	r.b = r.replica(configuration)
	for _, s := range []*server{r.a, r.b} {
		s.program = program
		s.start()
	}
	return r
}

// replica prepares one of them. Its address stays the same when it is started again.
func (r *replicas) replica(configuration string, args ...string) *server {
	r.t.Helper()
	folder, address := r.t.TempDir(), testkit.NewAddress(r.t)
	file := filepath.Join(folder, "larder.yaml")
	if err := os.WriteFile(file, []byte("replica: {advertise: \"http://"+address+"\"}\n"+configuration), 0o600); err != nil {
		r.t.Fatal(err)
	}
	s := newServer(r.t, filepath.Join(folder, "data"), r.hub)
	s.args = append(s.args, append([]string{"--listen", address, "--config", file}, args...)...)
	s.env = []string{
		"AWS_ACCESS_KEY_ID=" + s3test.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3test.SecretKey,
		"LARDER_DATABASE=" + r.database, "LARDER_STORAGE=" + r.bucket.StorageURL("images"),
	}
	return s
}

func (r *replicas) clientOf(s *server) *client { return newClient(r.t, s.url) }

// image adds an image to the hub and returns the paths of its layers as Larder has them.
func (r *replicas) image(name string, sizes ...int64) (manifest string, layers []string) {
	pushed := r.hub.AddImage("library/"+name, "latest", hubsim.Image{Seed: uint64(len(name)), LayerSizes: sizes})
	var digests []digest.Digest
	for _, l := range pushed.Manifests[0].Layers {
		digests = append(digests, l.Digest)
	}
	return "/v2/docker-hub/library/" + name + "/manifests/latest", blobPaths("docker-hub/library/"+name, digests)
}

// wants fails unless a request gets this status.
func wants(t *testing.T, c *client, status int, r request) answer {
	t.Helper()
	a, err := c.do(t.Context(), r)
	if err != nil || a.status != status {
		t.Fatalf("%s %s%s: %v, %s, want %d", r.method, c.base, r.path, err, a, status)
	}
	return a
}

func comesTrue(t *testing.T, what string, holds func() bool) {
	t.Helper()
	within(t, replicaPatience, what, holds)
}

func within(t *testing.T, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	limit := time.After(patience)
	for !holds() {
		select {
		case <-time.After(poll):
		case <-limit:
			t.Fatalf("within %s it does not come true that %s", patience, what)
		}
	}
}

func TestTwoReplicasAreOneRegistry(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, newHub(t, hubsim.Options{BlobBandwidth: 1 << 20}), "")
	t.Run("what is pushed to one is pulled from the other, and deleted from both", r.pushHerePullThere)
	t.Run("an upload begun on one ends on the other", r.uploadHereAndThere)
	t.Run("a cold stampede over both causes one transfer", r.stampede)
	t.Run("a transfer goes on at the other when its replica is killed", r.killTheFilling)
	t.Run("who pulls with retries does not notice a kill", r.killBehindTheBalancer)
}

func (r *replicas) pushHerePullThere(t *testing.T) {
	a, b := r.clientOf(r.a), r.clientOf(r.b)
	config := newContent(1, 100)
	pushed := newImage(config)
	wants(t, a, http.StatusCreated, request{
		method: http.MethodPost, path: "/v2/demo/app/blobs/uploads/?digest=" + config.digest.String(), body: config.reader(0), size: config.size,
	})
	manifest := "/v2/demo/app/manifests/latest"
	wants(t, a, http.StatusCreated, request{
		method: http.MethodPut, path: manifest, body: strings.NewReader(string(pushed.raw)), size: int64(len(pushed.raw)),
		header: map[string]string{"Content-Type": pushed.mediaType},
	})
	for range 2 { // the second time from memory
		if got := wants(t, b, http.StatusOK, request{method: http.MethodGet, path: manifest}); got.digest != pushed.digest {
			t.Errorf("got %s", got.digest)
		}
	}
	if err := b.whole(t.Context(), "/v2/demo/app/blobs/"+config.digest.String()); err != nil {
		t.Error(err)
	}
	wants(t, a, http.StatusAccepted, request{method: http.MethodDelete, path: manifest})
	wants(t, a, http.StatusNotFound, request{method: http.MethodGet, path: manifest})
	began := time.Now()
	comesTrue(t, "the tag is gone on the other", func() bool {
		got, err := b.get(t.Context(), manifest)
		return err == nil && got.status == http.StatusNotFound
	})
	t.Logf("the tag was gone on the other after %s", time.Since(began).Round(time.Millisecond))
}

func (r *replicas) uploadHereAndThere(t *testing.T) {
	a, b := r.clientOf(r.a), r.clientOf(r.b)
	blob := newContent(2, 300_000)
	const part = 100_000
	begun := wants(t, a, http.StatusAccepted, request{method: http.MethodPost, path: "/v2/demo/app/blobs/uploads/"})
	location, err := url.Parse(begun.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []*client{a, b} {
		offset := int64(i * part)
		wants(t, c, http.StatusAccepted, request{
			method: http.MethodPatch, path: location.Path, body: io.LimitReader(blob.reader(offset), part), size: part,
			header: map[string]string{"Content-Range": fmt.Sprintf("%d-%d", offset, offset+part-1)},
		})
	}
	wants(t, a, http.StatusCreated, request{
		method: http.MethodPut, path: location.Path + "?digest=" + blob.digest.String(), body: blob.reader(2 * part), size: blob.size - 2*part,
	})
	if err := b.whole(t.Context(), "/v2/demo/app/blobs/"+blob.digest.String()); err != nil {
		t.Error(err)
	}
}

func (r *replicas) stampede(t *testing.T) {
	manifest, layers := r.image("stampede", 700_000, 300_000)
	r.hub.ResetRequests()
	var pulls sync.WaitGroup
	for i := range 8 {
		c := r.clientOf([]*server{r.a, r.b}[i%2])
		pulls.Go(func() {
			if err := pullAll(t.Context(), c, manifest, layers); err != nil {
				t.Error(err)
			}
		})
	}
	pulls.Wait()
	times := map[string]int{}
	for _, request := range r.hub.Requests() {
		if line := request.String(); strings.Contains(line, "GET cdn/") || strings.Contains(line, "GET ") && strings.Contains(line, "/manifests/") {
			times[line]++
		}
	}
	if len(times) != 1+len(layers) {
		t.Errorf("the transfers are %v", times)
	}
	for line, n := range times {
		if n != 1 {
			t.Errorf("%d times %s", n, line)
		}
	}
}

// pullAll gets a manifest and all layers at once.
func pullAll(ctx context.Context, c *client, manifest string, layers []string) error {
	a, err := c.get(ctx, manifest)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%w to %s: %s", errRefused, manifest, a)
	}
	errs := make([]error, len(layers))
	var group sync.WaitGroup
	for i, layer := range layers {
		group.Go(func() { errs[i] = c.whole(ctx, layer) })
	}
	group.Wait()
	return errors.Join(append(errs, err)...)
}

func (r *replicas) killTheFilling(t *testing.T) {
	_, layers := r.image("killed", 1_000_000)
	layer := layers[0]
	name := digest.Digest(path.Base(layer))
	// The transfer of the first stands still until that is killed.
	defer r.hub.Break(hubsim.Fault{Kind: hubsim.Stalled, Path: hubsim.CDNPath, Reference: name.String(), Times: 1, Bytes: 500_000})()
	first := make(chan error, 1)
	a := r.clientOf(r.a)
	go func() { first <- a.whole(t.Context(), layer) }()
	comesTrue(t, "the first replica has begun the transfer", func() bool { return r.transfers(name) == 1 })

	r.refusesStrangers(t, name)

	second := make(chan error, 1)
	b := r.clientOf(r.b)
	go func() { second <- b.whole(t.Context(), layer) }()
	comesTrue(t, "the second one follows it", func() bool {
		head, err := b.do(t.Context(), request{method: http.MethodHead, path: layer})
		return err == nil && strings.Contains(head.header.Get("Cache-Status"), "collapsed")
	})
	r.a.kill()
	if err := <-first; err == nil {
		t.Error("the transfer was over before the kill, which shows nothing")
	}
	if err := <-second; err != nil {
		t.Errorf("the second replica's client: %v", err)
	}
	r.a.start()
	if err := r.clientOf(r.a).whole(t.Context(), layer); err != nil {
		t.Errorf("once it is held: %v", err)
	}
}

// transfers counts how often a blob was begun to be sent by the hub.
func (r *replicas) transfers(d digest.Digest) (n int) {
	for _, request := range r.hub.Requests() {
		if strings.HasPrefix(request.String(), "GET cdn/"+d.String()) {
			n++
		}
	}
	return n
}

// refusesStrangers asks for a transfer under way as other replicas do, without their key.
func (r *replicas) refusesStrangers(t *testing.T, d digest.Digest) {
	t.Helper()
	for _, base := range []string{r.a.url, "http://" + r.mirror} {
		got := wants(t, newClient(t, base), http.StatusNotFound, request{method: http.MethodGet, path: "/internal/fills/" + d.String()})
		if strings.Contains(string(got.body), d.String()) {
			t.Errorf("%s tells something about the transfer: %s", base, got)
		}
	}
}

func (r *replicas) killBehindTheBalancer(t *testing.T) {
	const kills = 4
	pulls := r.pullThroughout(t)
	for i := range kills {
		pulls.goOn(t, "pulls go on")
		victim := []*server{r.a, r.b}[i%2]
		victim.kill()
		pulls.goOn(t, "pulls go on without it")
		victim.start()
	}
	t.Logf("%s over %d kills", pulls.end(), kills)
}
