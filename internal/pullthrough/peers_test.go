package pullthrough_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pullthrough"
	"github.com/larder-registry/larder/internal/upstream"
)

// meeting is where replicas in one process agree who does what, and find each other.
type meeting struct {
	mu    sync.Mutex
	leads map[string]*peer
}

// peer is one replica, as the others see it.
type peer struct {
	meeting *meeting
	fills   *pullthrough.Fills

	mu       sync.Mutex
	dead     chan struct{} // closed when it was killed
	followed int           // how often others have followed it
	held     []bool        // what its spool was told
}

func (m *meeting) join() *peer { return &peer{meeting: m, dead: make(chan struct{})} }

func (p *peer) Lead(_ context.Context, work string) (func(), error) {
	p.meeting.mu.Lock()
	defer p.meeting.mu.Unlock()
	if p.meeting.leads[work] != nil {
		return nil, pullthrough.ErrLed
	}
	p.meeting.leads[work] = p
	return func() {
		p.meeting.mu.Lock()
		defer p.meeting.mu.Unlock()
		if p.meeting.leads[work] == p {
			delete(p.meeting.leads, work)
		}
	}, nil
}

func (p *peer) Follow(ctx context.Context, d digest.Digest, offset int64) (*upstream.Body, error) {
	p.meeting.mu.Lock()
	leader := p.meeting.leads[pullthrough.FillWork(d)]
	p.meeting.mu.Unlock()
	if leader == nil {
		return nil, pullthrough.ErrNotFilling
	}
	content, err := leader.fills.Follow(ctx, d)
	if err != nil {
		return nil, err
	}
	leader.mu.Lock()
	leader.followed++
	leader.mu.Unlock()
	if _, err := content.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return &upstream.Body{ReadCloser: mortal{content, leader.dead}, Offset: offset, Size: content.Size()}, nil
}

// kill cuts whoever follows the replica off, and lets its leads expire. What it does
// itself goes on where nobody sees it.
func (p *peer) kill() {
	p.meeting.mu.Lock()
	defer p.meeting.mu.Unlock()
	close(p.dead)
	for work, leader := range p.meeting.leads {
		if leader == p {
			delete(p.meeting.leads, work)
		}
	}
}

func (p *peer) followers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.followed
}

// telling is a store whose spools can be held; the peer remembers.
type telling struct {
	blob.Store
	peer *peer
}

func (s telling) Spool(ctx context.Context, alg digest.Algorithm) (blob.Spool, error) {
	spool, err := s.Store.Spool(ctx, alg)
	return heldSpool{spool, s.peer}, err
}

type heldSpool struct {
	blob.Spool
	peer *peer
}

func (s heldSpool) Hold(held bool) {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.peer.held = append(s.peer.held, held)
}

// wantHeld expects what the peer's spool was told since it was opened.
func (p *peer) wantHeld(t *testing.T, want ...bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.held, want) {
		t.Errorf("its spool was held %v, want %v", p.held, want)
	}
}

// mortal is a body that breaks when its sender dies.
type mortal struct {
	oci.Blob
	dead chan struct{}
}

func (m mortal) Read(p []byte) (int, error) {
	select {
	case <-m.dead:
		return 0, errors.New("connection reset by peer")
	default:
		return m.Blob.Read(p)
	}
}

// replica is a bench on the same database and storage as b, and what the others see.
func (b *bench) replica(p *peer) *bench {
	b.t.Helper()
	files, err := blob.OpenFiles(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	other := *b
	other.to = prometheus.NewRegistry()
	other.asked = upstream.NewMetrics(other.to)
	other.cache.Metrics = pullthrough.NewMetrics(other.to)
	other.fills = pullthrough.NewFills(pullthrough.FillsConfig{
		Blobs: telling{files, p}, DB: b.db, Metrics: other.cache.Metrics, Log: b.cache.Log,
		Backoff: func(int) time.Duration { return time.Millisecond }, Peers: p,
	})
	b.t.Cleanup(other.fills.Close)
	other.cache.Fills = other.fills
	p.fills = other.fills
	return &other
}

// two are two replicas that mirror one Hub.
func two(t *testing.T, options hubsim.Options) (hub *hubsim.Hub, a, b *pullthrough.Cache, first, second *peer) {
	t.Helper()
	bench, hub, _ := docker(t, options)
	meeting := &meeting{leads: map[string]*peer{}}
	first, second = meeting.join(), meeting.join()
	a = bench.replica(first).open("docker-hub", hub.URL(), nil)
	b = bench.replica(second).open("docker-hub", hub.URL(), nil)
	return hub, a, b, first, second
}

// received lists the GETs that the Hub has received for a part of a path.
func received(hub *hubsim.Hub, part string) (lines []string) {
	for _, r := range hub.Requests() {
		if line := r.String(); r.Method == http.MethodGet && strings.Contains(line, part) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestAStampedeOverReplicasCausesOneTransfer(t *testing.T) {
	hub, a, b, _, _ := two(t, hubsim.Options{BlobBandwidth: 2 << 20})
	pushed := hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{1_500_000}})
	layer := pushed.Manifests[0].Layers[0].Digest
	var pulls sync.WaitGroup
	for i := range 12 {
		cache := []*pullthrough.Cache{a, b}[i%2]
		pulls.Go(func() {
			manifest, _, err := cache.Manifest(t.Context(), stranger, nginx, oci.Reference{Tag: "latest"})
			if err != nil || manifest.Digest != pushed.Digest {
				t.Errorf("the manifest is %s: %v", manifest.Digest, err)
			}
			content, err := read(t.Context(), cache, stranger, nginx, layer)
			if err != nil || digest.FromBytes(content) != layer {
				t.Errorf("the layer has %d bytes, %s: %v", len(content), digest.FromBytes(content), err)
			}
		})
	}
	pulls.Wait()
	for _, part := range []string{"/manifests/", "cdn/"} {
		if lines := received(hub, part); len(lines) != 1 {
			t.Errorf("there is more than one transfer: %q", lines)
		}
	}
}

func TestAReplicaGoesOnWhereTheOtherDied(t *testing.T) {
	hub, a, b, first, second := two(t, hubsim.Options{})
	pushed := hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{1_500_000}})
	hub.Break(hubsim.Fault{Kind: hubsim.Stalled, Path: hubsim.BlobPath, Bytes: 500_000, Times: 1})
	layer := pushed.Manifests[0].Layers[0].Digest
	leading, _, err := a.Blob(t.Context(), stranger, nginx, layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leading.Close() }()
	following, _, err := b.Blob(t.Context(), stranger, nginx, layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = following.Close() }()
	begin := make([]byte, 100_000)
	if _, err := io.ReadFull(following, begin); err != nil {
		t.Fatal(err)
	}
	if n := first.followers(); n != 1 {
		t.Errorf("the first was followed %d times", n)
	}
	first.kill()
	rest, err := io.ReadAll(following)
	if err != nil {
		t.Fatal(err)
	}
	if err := following.Verified(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := digest.FromBytes(append(begin, rest...)); d != layer {
		t.Errorf("the blob is %s, not %s", d, layer)
	}
	first.wantHeld(t, false)
	second.wantHeld(t, true, false)
	if lines := received(hub, "bytes="); len(lines) == 0 {
		t.Errorf("the rest was not asked for by its range: %q", received(hub, ""))
	}
}

func TestATransferElsewhereShowsNothingToWhomTheUpstreamRefuses(t *testing.T) {
	hub, a, b, first, _ := two(t, hubsim.Options{})
	pushed := hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{1_000_000}})
	hub.AddImage("library/redis", "latest", hubsim.Image{Seed: 2, LayerSizes: []int64{10}})
	layer := pushed.Manifests[0].Layers[0].Digest
	goOn := hub.Break(hubsim.Fault{Kind: hubsim.Stalled, Path: hubsim.BlobPath, Bytes: 100_000})
	leading, _, err := a.Blob(t.Context(), stranger, nginx, layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leading.Close() }()
	if _, err := read(t.Context(), b, stranger, redis, layer); oci.CodeOf(err) != oci.CodeBlobUnknown {
		t.Errorf("through a repository that does not have the blob: %v", err)
	}
	if n := first.followers(); n != 0 {
		t.Errorf("it was followed %d times", n)
	}
	goOn()
	if content, err := io.ReadAll(leading); err != nil || digest.FromBytes(content) != layer {
		t.Errorf("the transfer itself: %v", err)
	}
}

func TestWhatTheOtherReplicaStoredIsLinkedHere(t *testing.T) {
	hub, a, b, _, _ := two(t, hubsim.Options{BlobBandwidth: 4 << 20})
	pushed := hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{1_000_000}})
	hub.AddImage("library/redis", "latest", hubsim.Image{LayerSizes: []int64{1_000_000}})
	layer := pushed.Manifests[0].Layers[0].Digest
	leading, _, err := a.Blob(t.Context(), stranger, nginx, layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leading.Close() }()
	if content, err := read(t.Context(), b, stranger, redis, layer); err != nil || digest.FromBytes(content) != layer {
		t.Errorf("following: %v", err)
	}
	eventually(t, "the blob is held in both repositories", func() bool {
		_, _, nginxErr := b.Held.StatBlob(t.Context(), oci.Caller{}, nginx, layer)
		_, _, redisErr := b.Held.StatBlob(t.Context(), oci.Caller{}, redis, layer)
		return nginxErr == nil && redisErr == nil
	})
}
