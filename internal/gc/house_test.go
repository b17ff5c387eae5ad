package gc_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	app   = oci.Repository("demo/app")
	other = oci.Repository("demo/other")
)

// house is a registry over a database and files, and who cleans it.
type house struct {
	*registry.Registry
	*gc.Collector
	t   *testing.T
	dir string
	raw *sql.DB // beside the registry's own connections
}

func newHouse(t *testing.T) *house {
	t.Helper()
	return newHouseOn(t, func(files *blob.Files) blob.Store { return files })
}

// newHouseOn is newHouse with something between it and the files.
func newHouseOn(t *testing.T, wrap func(*blob.Files) blob.Store) *house {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "metadata.db")
	db, err := metadata.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	return furnish(t, dir, db, raw, wrap)
}

// newHouseOnPostgreSQL is newHouse with its metadata there.
func newHouseOnPostgreSQL(t *testing.T) *house {
	t.Helper()
	server := metadatatest.NewPostgreSQL(t)
	dir, address := t.TempDir(), server.Database(t)
	db, err := metadata.OpenPostgres(t.Context(), address, dir)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	return furnish(t, dir, db, raw, func(files *blob.Files) blob.Store { return files })
}

func furnish(t *testing.T, dir string, db *metadata.DB, raw *sql.DB, wrap func(*blob.Files) blob.Store) *house {
	t.Helper()
	t.Cleanup(func() { _, _ = raw.Close(), db.Close() })
	files, err := blob.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	blobs, guard := wrap(files), blob.NewGuard()
	h := &house{
		t: t, dir: dir, raw: raw,
		Registry: registry.New(registry.Config{DB: db, Blobs: files, Guard: guard, Log: slog.New(slog.DiscardHandler)}),
		Collector: &gc.Collector{
			Sweeper: &gc.Sweeper{Blobs: blobs, DB: db, Guard: guard},
			Now:     time.Now, Metrics: gc.NewMetrics(prometheus.NewRegistry()),
		},
	}
	h.ok(h.EnsureProject(t.Context(), app.Project(), "alice"))
	return h
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) exec(statement string, args ...any) {
	h.t.Helper()
	_, err := h.raw.ExecContext(h.t.Context(), statement, args...)
	h.ok(err)
}

// age lets everything have happened that much earlier.
func (h *house) age(by time.Duration) {
	h.t.Helper()
	h.exec("UPDATE blob_links SET used_at = used_at - $1", by.Microseconds())
	h.exec("UPDATE blobs SET stored_at = stored_at - $1", by.Microseconds())
	h.exec("UPDATE orphans SET seen_at = seen_at - $1, last_seen_at = last_seen_at - $1", by.Microseconds())
}

const (
	aWhile = gc.Grace - time.Hour
	long   = gc.Grace + time.Hour
)

func (h *house) push(repo oci.Repository, text string) digest.Digest {
	h.t.Helper()
	d := digest.FromString(text)
	h.ok(h.PutBlob(h.t.Context(), repo, d, strings.NewReader(text)))
	return d
}

// image is a manifest of blobs; the first is its config.
func image(blobs ...digest.Digest) []byte {
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Layers: []v1.Descriptor{}}
	for i, d := range blobs {
		one := v1.Descriptor{MediaType: "application/x", Digest: d, Size: 1}
		if i == 0 {
			m.Config = one
			continue
		}
		m.Layers = append(m.Layers, one)
	}
	return encoded(m)
}

func index(children ...[]byte) []byte {
	i := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	for _, content := range children {
		i.Manifests = append(i.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(content), Size: int64(len(content))})
	}
	return encoded(i)
}

func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of the test's own values
	}
	return text
}

func (h *house) tryManifest(repo oci.Repository, content []byte, mediaType string) error {
	_, err := h.PutManifest(h.t.Context(), repo, registry.ManifestPush{
		Reference: oci.Reference{Digest: digest.FromBytes(content)}, Content: content, MediaType: mediaType,
	})
	return err
}

func (h *house) manifest(repo oci.Repository, content []byte) digest.Digest {
	h.t.Helper()
	h.ok(h.tryManifest(repo, content, ""))
	return digest.FromBytes(content)
}

func (h *house) row(d digest.Digest) metadata.Blob {
	h.t.Helper()
	row, err := h.DB.Blobs.Held(h.t.Context(), d)
	h.ok(err)
	return row
}

// state is everything that there is to lose.
type state struct {
	Links     []string // REPOSITORY DIGEST
	Rows      []digest.Digest
	Manifests int
	Files     []string
}

func (h *house) state() state {
	h.t.Helper()
	ctx := h.t.Context()
	var s state
	repositories, err := h.DB.Repositories.List(ctx, "", 1000)
	h.ok(err)
	seen := map[digest.Digest]bool{}
	for _, repository := range repositories {
		links, err := h.DB.Blobs.Links(ctx, repository, "", 1000)
		h.ok(err)
		for _, link := range links {
			s.Links = append(s.Links, repository+" "+link.Digest.String())
			seen[link.Digest] = true
		}
		manifests, err := h.DB.Manifests.List(ctx, repository, "", 1000)
		h.ok(err)
		s.Manifests += len(manifests)
	}
	unlinked, err := h.DB.Blobs.Unlinked(ctx, "", 1000)
	h.ok(err)
	for _, b := range unlinked {
		s.Rows = append(s.Rows, b.Digest)
	}
	for d := range seen {
		if _, err := h.DB.Blobs.Held(ctx, d); !errors.Is(err, metadata.ErrNotFound) {
			h.ok(err)
			s.Rows = append(s.Rows, d)
		}
	}
	slices.Sort(s.Rows)
	h.ok(h.walk(func(e blob.Entry) { s.Files = append(s.Files, e.Key) }))
	return s
}

func (h *house) walk(fn func(blob.Entry)) error {
	files, err := blob.OpenFiles(h.dir)
	if err != nil {
		return err
	}
	return files.Walk(h.t.Context(), func(e blob.Entry) error { fn(e); return nil })
}

func (h *house) same(want, got any) {
	h.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("unexpected (-want +got):\n%s", diff)
	}
}

// collect removes what it may and tells what that was.
func (h *house) collect() []gc.Item {
	h.t.Helper()
	return h.items(func(o gc.Options) (gc.Summary, error) { return h.Collect(h.t.Context(), o) })
}

func (h *house) preview() []gc.Item {
	h.t.Helper()
	return h.items(func(o gc.Options) (gc.Summary, error) { return h.Preview(h.t.Context(), o) })
}

func (h *house) items(run func(gc.Options) (gc.Summary, error)) []gc.Item {
	h.t.Helper()
	var all []gc.Item
	sum, err := run(gc.Options{Each: func(i gc.Item) error { all = append(all, i); return nil }})
	h.ok(err)
	var told gc.Summary
	for _, i := range all {
		switch i.Kind {
		case gc.Link:
			told.Links++
		case gc.Blob:
			told.Blobs++
		case gc.Orphan:
			told.Orphans++
		}
		told.Bytes += i.Size
	}
	h.same(told, sum)
	slices.SortFunc(all, func(a, b gc.Item) int {
		return strings.Compare(string(a.Kind)+a.Repository+a.Digest.String()+a.Key, string(b.Kind)+b.Repository+b.Digest.String()+b.Key)
	})
	return all
}

// whole tells whether a repository's blob reads back with its own bytes.
func (h *house) whole(repo oci.Repository, d digest.Digest) error {
	content, _, err := h.Blob(h.t.Context(), oci.Caller{}, repo, d)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	var all bytes.Buffer
	if _, err := all.ReadFrom(content); err != nil {
		return err
	}
	if got := d.Algorithm().FromBytes(all.Bytes()); got != d {
		return errors.New("other bytes: " + got.String())
	}
	return nil
}

// lose writes bytes that no row leads to, and returns their key.
func (h *house) lose(text string) string {
	h.t.Helper()
	encoded := digest.FromString(text).Encoded()
	key := "sha256/" + encoded[:2] + "/" + encoded
	file := filepath.Join(h.dir, "blobs", filepath.FromSlash(key))
	h.ok(os.MkdirAll(filepath.Dir(file), 0o750))
	h.ok(os.WriteFile(file, []byte(text), 0o600))
	return key
}
