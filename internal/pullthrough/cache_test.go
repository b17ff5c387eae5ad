package pullthrough_test

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pullthrough"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/testkit"
	"github.com/larder-registry/larder/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	nginx = oci.Repository("docker-hub/library/nginx")
	redis = oci.Repository("docker-hub/library/redis")
	app   = oci.Repository("docker-hub/acme/app")
	// ample is longer than what succeeds takes on a busy machine.
	ample = 30 * time.Second
	// patience is what an impatient bench has.
	patience = 300 * time.Millisecond
)

var (
	stranger = oci.Caller{}
	alice    = oci.Caller{User: "alice"}
	// acme may read acme/app, which is private where a test says so.
	acme     = upstream.Credential{Username: "acme", Password: "acme-secret"}
	accounts = []hubsim.Account{{Username: "acme", Password: "acme-secret", Repositories: []string{"acme/app"}}}
)

// bench is a data folder with what several caches share.
type bench struct {
	t     *testing.T
	dir   string
	clock *testkit.Clock
	log   *testkit.Buffer
	db    *metadata.DB
	held  *registry.Registry
	fills *pullthrough.Fills
	cache pullthrough.Config // what every cache of the bench has
	to    *prometheus.Registry
	asked *upstream.Metrics
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOn(t, func(files blob.Store) blob.Store { return files })
}

// newBenchOn is newBench with something between it and the files, and fills that are
// made in another way.
func newBenchOn(t *testing.T, wrap func(blob.Store) blob.Store, changes ...func(*pullthrough.FillsConfig)) *bench {
	t.Helper()
	dir := t.TempDir()
	db, err := metadata.Open(t.Context(), filepath.Join(dir, "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	files, err := blob.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	blobs := wrap(files)
	b := &bench{t: t, dir: dir, clock: testkit.NewClock(time.Now()), log: &testkit.Buffer{}, db: db, to: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(b.log, nil))
	metrics := pullthrough.NewMetrics(b.to)
	b.asked = upstream.NewMetrics(b.to)
	b.held = registry.New(registry.Config{DB: db, Blobs: blobs, Log: log, Now: b.clock.Now})
	fills := pullthrough.FillsConfig{
		Blobs: blobs, DB: db, Metrics: metrics, Log: log,
		Backoff: func(int) time.Duration { return time.Millisecond },
	}
	for _, change := range changes {
		change(&fills)
	}
	b.fills = pullthrough.NewFills(fills)
	t.Cleanup(b.held.Close)
	t.Cleanup(b.fills.Close)
	b.cache = pullthrough.Config{
		Title: "Docker Hub", TagTTL: time.Minute, Allows: func(string) bool { return true },
		Held: b.held, DB: db, Fills: b.fills, Metrics: metrics, Log: log, Now: b.clock.Now,
		Limits: pullthrough.Limits{Patience: ample, MovePatience: ample, Check: ample},
	}
	return b
}

// impatient lets the callers of caches that are opened from now on lose patience soon.
func (b *bench) impatient() *bench {
	b.cache.Limits.Patience = patience
	return b
}

// open makes a cache of the registry at an address. Change may be nil.
func (b *bench) open(project, address string, change func(*pullthrough.Config), credentials ...upstream.Credential) *pullthrough.Cache {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	remote, err := upstream.New(upstream.Config{
		Name: project, URL: u, Hub: true, Credentials: credentials, Now: b.clock.Now,
		Timeouts: upstream.Timeouts{Dial: ample, Headers: ample, Stall: ample, Request: ample},
	}, b.asked, b.cache.Log)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.db.Projects.Ensure(b.t.Context(), metadata.Project{Name: project, Kind: metadata.Cache, CreatedAt: b.clock.Now()}); err != nil {
		b.t.Fatal(err)
	}
	config := b.cache
	config.Project, config.Upstream = project, remote
	if change != nil {
		change(&config)
	}
	cache := pullthrough.New(config)
	b.t.Cleanup(func() { b.fills.Close(); cache.Close(); remote.Close() })
	return cache
}

// docker is a bench with a simulated Docker Hub and one cache of it, docker-hub.
func docker(t *testing.T, options hubsim.Options, credentials ...upstream.Credential) (*bench, *hubsim.Hub, *pullthrough.Cache) {
	t.Helper()
	return dockerOn(newBench(t), options, credentials...)
}

func dockerOn(b *bench, options hubsim.Options, credentials ...upstream.Credential) (*bench, *hubsim.Hub, *pullthrough.Cache) {
	b.t.Helper()
	options.Clock, options.Accounts, options.TokensOnRegistry = b.clock.Now, accounts, true
	hub, err := hubsim.Start(options)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(hub.Close)
	return b, hub, b.open("docker-hub", hub.URL(), nil, credentials...)
}

// pull reads a manifest that must be there.
func (b *bench) pull(c *pullthrough.Cache, caller oci.Caller, repo oci.Repository, ref string) (oci.Manifest, oci.Served) {
	b.t.Helper()
	parsed, err := oci.ParseReference(ref)
	if err != nil {
		b.t.Fatal(err)
	}
	manifest, served, err := c.Manifest(b.t.Context(), caller, repo, parsed)
	if err != nil {
		b.t.Fatalf("pulling %s:%s: %v", repo, ref, err)
	}
	return manifest, served
}

// read reads a blob to its end, verification included.
func read(ctx context.Context, c *pullthrough.Cache, caller oci.Caller, repo oci.Repository, d digest.Digest) ([]byte, error) {
	opened, _, err := c.Blob(ctx, caller, repo, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	content, err := io.ReadAll(opened)
	if err != nil {
		return content, err
	}
	return content, opened.Verified(ctx)
}

// eventually polls for something that another goroutine brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("it never came about that %s", what)
}

// fastest is how long the fastest of several takes, as each may stand still on a busy
// machine.
func fastest(do func()) time.Duration {
	took := []time.Duration{}
	for range 5 {
		began := time.Now()
		do()
		took = append(took, time.Since(began))
	}
	return slices.Min(took)
}

// seen tells how many requests of that method and path the Hub has received.
func seen(hub *hubsim.Hub, method, path string) (n int) {
	for _, r := range hub.Requests() {
		if r.Method == method && r.Path == path {
			n++
		}
	}
	return n
}

// small is an image that tests can pull whole.
func small(seed uint64) hubsim.Image {
	return hubsim.Image{Seed: seed, LayerSizes: []int64{60_000}}
}

// large is an image whose layer takes a while to come.
func large(seed uint64) hubsim.Image {
	return hubsim.Image{Seed: seed, LayerSizes: []int64{3 << 20}}
}
