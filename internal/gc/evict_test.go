package gc_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/testkit"
)

const (
	web   = oci.Repository("hub/library/web")
	base  = oci.Repository("hub/library/base")
	quay  = oci.Repository("quay/org/web")
	ours  = oci.Repository("demo/web")
	kib   = 1 << 10
	layer = 100 * kib // how much an image of the tests takes, but for a few bytes
)

// pantry holds cached and hosted images, and an evictor.
type pantry struct {
	*registry.Registry
	t       *testing.T
	db      *metadata.DB
	file    string // of the database
	raw     *sql.DB
	blobs   *counting
	guard   *blob.Guard
	log     *testkit.Buffer
	to      *prometheus.Registry
	now     time.Time // hours after everything that a test does
	forgot  []string
	evictor *gc.Evictor
}

// counting measures the disk by the blobs that are on it.
type counting struct {
	*blob.Files
	mu      sync.Mutex
	disk    int64  // bytes
	deleted func() // called after each deletion, unless it is nil
}

func (c *counting) Delete(ctx context.Context, key string) error {
	err := c.Files.Delete(ctx, key)
	if c.deleted != nil {
		c.deleted()
	}
	return err
}

func (c *counting) space() (gc.Space, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	used := int64(0)
	err := c.Walk(context.Background(), func(e blob.Entry) error { used += e.Size; return nil })
	return gc.Space{Used: used, Free: c.disk - used}, err
}

func newPantry(t *testing.T, limit gc.Limit) *pantry {
	t.Helper()
	dir := t.TempDir()
	db, err := metadata.Open(t.Context(), filepath.Join(dir, "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	raw, err := sql.Open("sqlite", filepath.Join(dir, "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	files, err := blob.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &pantry{
		t: t, db: db, file: filepath.Join(dir, "metadata.db"), raw: raw, blobs: &counting{Files: files, disk: 1 << 30}, guard: blob.NewGuard(),
		log: &testkit.Buffer{}, to: prometheus.NewRegistry(), now: time.Now().Add(100 * time.Hour),
	}
	p.Registry = registry.New(registry.Config{DB: db, Blobs: files, Guard: p.guard, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(p.Close)
	for name, kind := range map[string]metadata.Kind{"hub": metadata.Cache, "quay": metadata.Cache, "demo": metadata.Hosted} {
		p.ok(db.Projects.Create(t.Context(), metadata.Project{Name: name, Kind: kind}))
	}
	p.evictor = gc.NewEvictor(gc.EvictorConfig{
		DB: db, Sweeper: &gc.Sweeper{Blobs: p.blobs, DB: db, Guard: p.guard}, Limit: limit, Space: p.blobs.space,
		Forget: func(repo oci.Repository, manifests []digest.Digest) { p.forgot = append(p.forgot, string(repo)) },
		Holder: "test", Metrics: gc.NewEvictionMetrics(p.to), Log: slog.New(slog.NewTextHandler(p.log, nil)),
		Now: func() time.Time { return p.now },
	})
	return p
}

func (p *pantry) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pantry) blob(repo oci.Repository, text string) v1.Descriptor {
	p.t.Helper()
	content := bytes.Repeat([]byte(text+"\n"), layer/(len(text)+1))
	d := digest.FromBytes(content)
	p.ok(p.PutBlob(p.t.Context(), repo, d, bytes.NewReader(content)))
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(content))}
}

// image puts an image with a layer for each text.
func (p *pantry) image(repo oci.Repository, tag string, texts ...string) v1.Descriptor {
	p.t.Helper()
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{}}
	m.Config = p.blob(repo, texts[0])
	m.Config.MediaType = v1.MediaTypeImageConfig
	for _, text := range texts[1:] {
		m.Layers = append(m.Layers, p.blob(repo, text))
	}
	return p.manifest(repo, tag, m.MediaType, m)
}

func (p *pantry) index(repo oci.Repository, tag string, children ...v1.Descriptor) v1.Descriptor {
	p.t.Helper()
	return p.manifest(repo, tag, v1.MediaTypeImageIndex, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: children,
	})
}

func (p *pantry) manifest(repo oci.Repository, tag, mediaType string, v any) v1.Descriptor {
	p.t.Helper()
	content, err := json.Marshal(v)
	p.ok(err)
	d := digest.FromBytes(content)
	ref := oci.Reference{Tag: tag}
	if tag == "" {
		ref = oci.Reference{Digest: d}
	}
	_, err = p.PutManifest(p.t.Context(), repo, registry.ManifestPush{
		Reference: ref, MediaType: mediaType, Content: content,
	})
	p.ok(err)
	return v1.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// pulled says how many hours ago a manifest was pulled.
func (p *pantry) pulled(repo oci.Repository, m v1.Descriptor, hours int) {
	p.t.Helper()
	at := p.now.Add(-time.Duration(hours) * time.Hour)
	p.ok(p.db.Manifests.Pulled(p.t.Context(), []metadata.Pull{{Repository: string(repo), Digest: m.Digest, At: at}}))
}

func (p *pantry) pin(m v1.Descriptor) {
	p.t.Helper()
	_, err := p.raw.ExecContext(p.t.Context(), `
		INSERT INTO pins (repository_id, digest, reason, created_at)
		SELECT repository_id, digest, 'a test', 1 FROM manifest_links WHERE digest = $1`, m.Digest)
	p.ok(err)
}

// tags lists what is left, as REPOSITORY:TAG.
func (p *pantry) tags() []string {
	p.t.Helper()
	all := []string{}
	for _, repo := range []oci.Repository{base, web, quay, ours} {
		names, err := p.db.Tags.List(p.t.Context(), string(repo), "", 100)
		p.ok(err)
		for _, name := range names {
			all = append(all, string(repo)+":"+name)
		}
	}
	slices.Sort(all)
	return all
}

func (p *pantry) left(want ...string) {
	p.t.Helper()
	want = append([]string{}, want...)
	slices.Sort(want)
	if diff := cmp.Diff(want, p.tags()); diff != "" {
		p.t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

// whole reads a blob that has to be there.
func (p *pantry) whole(repo oci.Repository, d digest.Digest) {
	p.t.Helper()
	opened, _, err := p.Blob(p.t.Context(), oci.Caller{}, repo, d)
	if err != nil {
		p.t.Error(err)
		return
	}
	defer func() { _ = opened.Close() }()
	content, err := io.ReadAll(opened)
	if err != nil || digest.FromBytes(content) != d {
		p.t.Errorf("%s is not whole: %d bytes, %v", d, len(content), err)
	}
}

func (p *pantry) used() int64 {
	p.t.Helper()
	space, err := p.blobs.space()
	p.ok(err)
	return space.Used
}

// distribution/distribution#1140 (row 9): nothing bounds a cache, until it has filled the disk.
func TestTheLeastRecentlyPulledGoesFirstDownToTheLowMark(t *testing.T) {
	p := newPantry(t, gc.Limit{Bytes: 10 * layer})
	for i, hours := range []int{50, 20, 40, 30, 10, 60} { // two layers each
		name := string(rune('a' + i))
		p.pulled(web, p.image(web, name, name, name+"2"), hours)
	}
	p.ok(p.evictor.Check(t.Context()))
	// From 12 layers down to 9.5: f and a.
	p.left("hub/library/web:b", "hub/library/web:c", "hub/library/web:d", "hub/library/web:e")
	if used := p.used(); used > 10*layer*95/100 {
		t.Errorf("%d bytes are left", used)
	}
	if diff := cmp.Diff([]string{string(web), string(web)}, p.forgot); diff != "" {
		t.Errorf("who was told to forget what (-want +got):\n%s", diff)
	}
	if log := p.log.String(); !strings.Contains(log, "evicted cached images") || !strings.Contains(log, "images=2") {
		t.Errorf("the log says: %s", log)
	}
	p.ok(p.evictor.Check(t.Context()))
	if n := len(p.tags()); n != 4 {
		t.Errorf("%d images are left after a check within the limit", n)
	}
}

func TestAFileSystemThatIsFullerThanItsShareLosesCachedImages(t *testing.T) {
	p := newPantry(t, gc.Limit{Percent: 80})
	p.blobs.disk = 10 * layer
	for i := range 9 {
		name := string(rune('a' + i))
		p.pulled(web, p.image(web, name, name), 20-i)
	}
	p.ok(p.evictor.Check(t.Context()))
	if n := len(p.tags()); n != 7 { // from 9 down to 7.6
		t.Errorf("%d images are left", n)
	}
}

func TestHostedAndPinnedImagesAndWhatTheyShareStay(t *testing.T) {
	p := newPantry(t, gc.Limit{Bytes: layer})
	p.image(ours, "mine", "shared", "mine")
	cached := p.image(web, "old", "shared", "only cached")
	p.pin(p.image(base, "pinned", "pinned"))
	index := p.index(quay, "many", p.image(quay, "child", "child"))
	p.pin(index)
	p.ok(p.evictor.Check(t.Context()))
	p.left("demo/web:mine", "hub/library/base:pinned", "quay/org/web:child", "quay/org/web:many")
	if _, err := p.db.Manifests.Held(t.Context(), cached.Digest); !errors.Is(err, metadata.ErrNotFound) {
		t.Errorf("the manifest is still held: %v", err)
	}
	p.whole(ours, p.blob(ours, "shared").Digest)
	if log := p.log.String(); !strings.Contains(log, "cannot be made smaller") {
		t.Errorf("the log says: %s", log)
	}
}

func TestTwoProjectsThatShareABlobKeepItUntilTheLastImageGoes(t *testing.T) {
	p := newPantry(t, gc.Limit{Bytes: layer * 5 / 2})
	p.pulled(web, p.image(web, "1", "shared", "web"), 30)
	p.pulled(quay, p.image(quay, "1", "shared", "quay"), 20)
	shared := digest.FromBytes(bytes.Repeat([]byte("shared\n"), layer/7))
	p.ok(p.evictor.Check(t.Context()))
	p.left("quay/org/web:1")
	p.whole(quay, shared)
	if _, _, err := p.Blob(t.Context(), oci.Caller{}, web, shared); oci.CodeOf(err) != oci.CodeBlobUnknown {
		t.Errorf("the repository that lost its image still reads the blob: %v", err)
	}
	if used := p.used(); used > 2*layer {
		t.Errorf("%d bytes are left", used)
	}
}

func TestAnIndexGoesWithItsChildrenButThoseOfOthers(t *testing.T) {
	p := newPantry(t, gc.Limit{Bytes: layer * 5 / 2})
	amd, arm := p.image(web, "", "amd"), p.image(web, "", "arm")
	old := p.index(web, "old", amd, arm)
	p.pulled(web, arm, 30)
	p.pulled(web, amd, 5)
	p.pulled(web, p.index(web, "new", amd), 3)
	p.pulled(base, p.image(base, "1", "base"), 2)
	p.ok(p.evictor.Check(t.Context()))
	p.left("hub/library/web:new", "hub/library/base:1")
	for _, m := range []struct {
		v1.Descriptor
		held bool
	}{{amd, true}, {arm, false}, {old, false}} {
		_, err := p.db.Manifests.Get(t.Context(), string(web), m.Digest)
		if held := err == nil; held != m.held {
			t.Errorf("%s is held: %t, %v", m.Digest, held, err)
		}
	}
	p.whole(web, digest.FromBytes(bytes.Repeat([]byte("amd\n"), layer/4)))
}

func TestADiskThatCannotBeMeasuredIsAnErrorAndEvictsNothing(t *testing.T) {
	p := newPantry(t, gc.Limit{Percent: 1})
	p.image(web, "1", "one")
	p.evictor.Space = func() (gc.Space, error) { return gc.Space{}, syscall.EIO }
	if err := p.evictor.Check(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	if p.evictor.MakeRoom(t.Context(), 1) {
		t.Error("room was made")
	}
	p.left("hub/library/web:1")
}

func TestTheWatchChecksAtOnceAndAfterManyBytes(t *testing.T) {
	p := newPantry(t, gc.Limit{Bytes: layer})
	p.image(web, "1", "one", "two")
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { p.evictor.Watch(ctx) })
	defer work.Wait()
	defer stop()
	p.eventually(func() bool { return len(p.tags()) == 0 })
	p.image(web, "2", "one", "two")
	p.evictor.Stored(1 << 30)
	p.eventually(func() bool { return len(p.tags()) == 0 })
}

func (p *pantry) eventually(holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatal("it never came about")
		}
	}
}
