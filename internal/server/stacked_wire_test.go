package server_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// A large blob goes up in parts, and a medium one in one request.
const (
	largeSize  = 2*smallestPart + 1000
	mediumSize = 2_000_000
)

// bad is a network between Larder and its storage.
type bad struct {
	name, toxic string
	stall       time.Duration // how long no byte may come
	// Which requests succeed all the same: those that read, and those that send parts.
	reads, sends bool
	// What shows that the network is bad when they do: how long they take at the least,
	// and how many requests a large blob is read with.
	reading, sending time.Duration
	requests         int
}

func badNetworks() []bad {
	return []bad{
		{
			name: "it is slow to answer", toxic: `{"type": "latency", "attributes": {"latency": 300, "jitter": 100}}`,
			stall: untroubled, reads: true, sends: true, reading: 200 * time.Millisecond, sending: 200 * time.Millisecond,
		},
		{
			name: "it gives little", toxic: `{"type": "bandwidth", "attributes": {"rate": 5000}}`,
			stall: untroubled, reads: true, sends: true, reading: time.Second,
		},
		{
			name: "it takes little", toxic: `{"type": "bandwidth", "stream": "upstream", "attributes": {"rate": 5000}}`,
			stall: untroubled, reads: true, sends: true, sending: 500 * time.Millisecond,
		},
		{
			name: "what it sends is cut", toxic: `{"type": "limit_data", "attributes": {"bytes": 500000}}`,
			stall: untroubled, reads: true, sends: true, requests: largeSize / 500_000,
		},
		{
			name: "what is sent to it is cut", toxic: `{"type": "limit_data", "stream": "upstream", "attributes": {"bytes": 500000}}`,
			stall: untroubled, reads: true,
		},
		{name: "it falls silent", toxic: `{"type": "timeout", "attributes": {"timeout": 0}}`, stall: patience},
		{name: "it hears nothing", toxic: `{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`, stall: patience},
		{name: "it falls silent and hangs up", toxic: `{"type": "timeout", "attributes": {"timeout": 500}}`, stall: patience},
		{name: "it resets connections", toxic: `{"type": "reset_peer", "attributes": {"timeout": 0}}`, stall: patience},
		{name: "it resets connections after a while", toxic: `{"type": "reset_peer", "stream": "upstream", "attributes": {"timeout": 300}}`, stall: patience},
	}
}

// wired is a stack whose blobs are at the other end of a wire.
type wired struct {
	*stored
	wire    *s3test.Wire
	network bad
	large   []byte // pushed before the network turned bad
	medium  []byte
	half    []byte // pushed half by then
	upload  string
	image   hubsim.Pushed // pulled but for its layer
}

func newWired(t *testing.T, network bad) *wired {
	t.Helper()
	service := startS3(t)
	// A proxy between them keeps connections open, which versitygw does not.
	proxy := s3test.NewProxy(service.Endpoint)
	t.Cleanup(proxy.Close)
	wire, err := s3test.NewWire(proxy.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(wire.Close)
	w := &wired{
		stored: &stored{newStackOnS3(t, wire.Endpoint(), "&hot=0", network.stall), service, proxy}, wire: wire, network: network,
		large: content(1, largeSize), medium: content(2, mediumSize), half: content(3, largeSize),
	}
	w.wantPushed(w.large)
	w.wantPushed(w.medium)
	w.upload = w.send(request{method: http.MethodPost, path: "/v2/demo/app/blobs/uploads/", admin: true}).header.Get("Location")
	if got := w.appendHalf(0, smallestPart+1); got.status != http.StatusAccepted {
		t.Fatalf("the first half of an upload got %d", got.status)
	}
	w.image = w.hub.AddImage("library/nginx", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{largeSize}})
	w.get(nginx+"manifests/latest").is(t, w.image.Digest)
	return w
}

// appendHalf sends bytes of the upload that was begun.
func (w *wired) appendHalf(from, to int) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPatch, "http://"+w.larder.Addr().String()+w.upload, bytes.NewReader(w.half[from:to]))
	if err != nil {
		w.t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", from, to-1))
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return answer{status: resp.StatusCode, header: resp.Header}
}

func TestOverABadNetworkToStorageAnswersAreWholeOrHonestAndNothingIsLeft(t *testing.T) {
	for i, network := range badNetworks() {
		t.Run(network.name, func(t *testing.T) {
			t.Parallel()
			w := newWired(t, network)
			pushed := content(byte(100+i), largeSize)
			if err := w.wire.Poison(network.toxic); err != nil {
				t.Fatal(err)
			}
			w.cold()
			w.warm()
			w.wantTried("a push", network.sends, network.sending, http.StatusCreated, func() answer { return w.post(pushed) })
			w.wantTried("the rest of an upload", network.sends, network.sending, http.StatusAccepted, func() answer {
				return w.appendHalf(smallestPart+1, largeSize)
			})

			w.wire.Heal()
			w.wantPushed(pushed)
			w.finish()
			for _, p := range [][]byte{w.large, w.medium, w.half, pushed} {
				w.pullBlob(p).is(t, digest.FromBytes(p))
			}
			w.pullAll(nginx, "latest", w.image)
			w.wantSettled()
		})
	}
}

// cold pulls what the storage does not have, and is no concern of its client's.
func (w *wired) cold() {
	w.t.Helper()
	layer := w.image.Manifests[0].Layers[0].Digest
	w.get(nginx+"blobs/"+layer.String()).wants(w.t, http.StatusOK, "larder; fwd=miss; stored").is(w.t, layer)
}

// warm pulls what the storage has.
func (w *wired) warm() {
	w.t.Helper()
	w.wantTried("a blob", w.network.reads, 0, http.StatusOK, func() answer { return w.pullBlob(w.medium) })
	w.proxy.Seen("")
	w.wantTried("a large blob", w.network.reads, w.network.reading, http.StatusOK, func() answer {
		got := w.pullBlob(w.large)
		if got.status == http.StatusOK {
			got.is(w.t, digest.FromBytes(w.large))
		}
		return got
	})
	if asked := w.proxy.Seen(http.MethodGet); asked < w.network.requests {
		w.t.Errorf("a large blob was read with %d requests, so the network is good", asked)
	}
}

// wantTried expects success after some time, or an error that says when to come back.
func (w *wired) wantTried(what string, succeeds bool, atLeast time.Duration, done int, try func() answer) {
	w.t.Helper()
	began, want := time.Now(), done
	if !succeeds {
		want = http.StatusServiceUnavailable
	}
	w.wantRefused(what, try(), want, done)
	if took := time.Since(began); took < atLeast {
		w.t.Errorf("%s took %s, so the network is good", what, took)
	}
}

// finish ends the upload from where the server says that it is.
func (w *wired) finish() {
	w.t.Helper()
	status := w.send(request{path: w.upload, admin: true})
	var last int
	if _, err := fmt.Sscanf(status.header.Get("Range"), "0-%d", &last); err != nil || status.status != http.StatusNoContent {
		w.t.Fatalf("the upload's status is %d with Range %q", status.status, status.header.Get("Range"))
	}
	if last+1 < largeSize {
		if got := w.appendHalf(last+1, largeSize); got.status != http.StatusAccepted {
			w.t.Fatalf("the rest of the upload got %d", got.status)
		}
	}
	got := w.send(request{method: http.MethodPut, path: w.upload + "?digest=" + digest.FromBytes(w.half).String(), admin: true})
	if got.status != http.StatusCreated {
		w.t.Fatalf("the end of the upload got %d: %s", got.status, got.body)
	}
}

// wantSettled stops the server and expects every blob to be what it claims to be, and
// nothing else to be in the bucket once everything that is swept up after a day is gone.
func (w *wired) wantSettled() {
	w.t.Helper()
	w.stop()
	check := registry.Fsck{Tell: func(e registry.FsckEvent) error {
		if e.Finding != nil {
			w.t.Errorf("found: %+v", e.Finding)
		}
		return nil
	}}
	config := w.load()
	if err := server.Fsck(w.t.Context(), config, check, slog.New(slog.DiscardHandler)); err != nil {
		w.t.Fatal(err)
	}
	stores, err := server.OpenStores(w.t.Context(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = stores.Close() }()
	w.sweep(stores)
	rows, err := stores.DB.Blobs.Unverified(w.t.Context(), time.Now().Add(time.Hour), "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	want := map[string]bool{"images/owner": true}
	for _, row := range rows {
		want["images/blobs/"+row.Key] = true
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), w.objects()); diff != "" {
		w.t.Errorf("what is in the bucket (-want +got):\n%s", diff)
	}
}

// sweep removes what is removed within days, as if they had passed.
func (w *wired) sweep(stores *server.Stores) {
	w.t.Helper()
	held := registry.New(registry.Config{DB: stores.DB, Blobs: stores.Blobs, Log: slog.New(slog.DiscardHandler)})
	defer held.Close()
	if _, err := held.SweepStrays(w.t.Context(), -time.Hour); err != nil {
		w.t.Error(err)
	}
	for days := range 2 {
		collector := gc.Collector{
			Sweeper: &gc.Sweeper{Blobs: stores.Blobs, DB: stores.DB, Guard: blob.NewGuard()},
			Now:     func() time.Time { return time.Now().Add(time.Duration(days+1) * 25 * time.Hour) },
			Metrics: gc.NewMetrics(prometheus.NewRegistry()),
		}
		if _, err := collector.Collect(w.t.Context(), gc.Options{}); err != nil {
			w.t.Error(err)
		}
	}
}

// objects lists the keys in the bucket, those of unfinished multipart uploads included.
func (w *wired) objects() (keys []string) {
	w.t.Helper()
	for object := range w.service.Client.ListObjects(w.t.Context(), s3test.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			w.t.Fatal(object.Err)
		}
		keys = append(keys, object.Key)
	}
	for upload := range w.service.Client.ListIncompleteUploads(w.t.Context(), s3test.Bucket, "", true) {
		if upload.Err != nil {
			w.t.Fatal(upload.Err)
		}
		keys = append(keys, strings.TrimSuffix(upload.Key, "/")+" unfinished")
	}
	slices.Sort(keys)
	return keys
}
