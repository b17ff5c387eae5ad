package registry_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

const (
	app   = oci.Repository("demo/app")
	other = oci.Repository("demo/other")
)

// house is a registry over SQLite and files, with a clock that tests move.
type house struct {
	*registry.Registry
	t   *testing.T
	dir string
	db  *metadata.DB

	files *blob.Files
	room  registry.Room // nil: none is made

	mu  sync.Mutex
	now time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	h.open()
	if err := h.EnsureProject(t.Context(), "demo", "alice"); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) open() {
	h.t.Helper()
	db, err := metadata.Open(context.Background(), filepath.Join(h.dir, "metadata.db"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = db.Close() })
	files, err := blob.OpenFiles(filepath.Join(h.dir, "storage"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.db, h.files = db, files
	h.over(files)
}

// over puts a registry on another view of the same files.
func (h *house) over(store blob.Store) {
	if h.Registry != nil {
		h.Close()
	}
	h.Registry = registry.New(registry.Config{DB: h.db, Blobs: store, Room: h.room, Now: h.clock, Log: slog.New(slog.DiscardHandler)})
	h.t.Cleanup(h.Close)
}

// restart closes everything and opens it again.
func (h *house) restart() {
	h.t.Helper()
	h.Close()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) wait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// pushBlob stores content in a repository and returns its sha256 digest.
func (h *house) pushBlob(repo oci.Repository, content []byte) digest.Digest {
	h.t.Helper()
	d := digest.FromBytes(content)
	if err := h.PutBlob(h.t.Context(), repo, d, bytes.NewReader(content)); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// image is a manifest whose config and layer are in the repository.
func (h *house) image(repo oci.Repository, edit func(*v1.Manifest)) []byte {
	h.t.Helper()
	config, layer := []byte(`{}`), random(h.t, 100)
	h.pushBlob(repo, config)
	h.pushBlob(repo, layer)
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))},
		Layers:    []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromBytes(layer), Size: int64(len(layer))}},
	}
	if edit != nil {
		edit(&m)
	}
	return marshal(h.t, m)
}

// tag pushes a manifest under a tag.
func (h *house) tag(repo oci.Repository, tag string, content []byte) digest.Digest {
	h.t.Helper()
	receipt, err := h.PutManifest(h.t.Context(), repo, registry.ManifestPush{Reference: oci.Reference{Tag: tag}, Content: content, Actor: "alice"})
	if err != nil {
		h.t.Fatal(err)
	}
	return receipt.Digest
}

func (h *house) readBlob(repo oci.Repository, d digest.Digest) []byte {
	h.t.Helper()
	b, _, err := h.Blob(h.t.Context(), oci.Caller{}, repo, d)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	content, err := io.ReadAll(b)
	if err != nil {
		h.t.Fatal(err)
	}
	return content
}

// manifestCode is the error code of a read, "" when it works.
func (h *house) manifestCode(repo oci.Repository, ref oci.Reference) oci.Code {
	h.t.Helper()
	_, _, err := h.Manifest(h.t.Context(), oci.Caller{}, repo, ref)
	return codeOf(h.t, err)
}

func codeOf(t *testing.T, err error) oci.Code {
	t.Helper()
	if err != nil && oci.CodeOf(err) == "" {
		t.Fatalf("an error without a code: %v", err)
	}
	return oci.CodeOf(err)
}

func expectCode(t *testing.T, want oci.Code, err error) {
	t.Helper()
	if diff := cmp.Diff(want, codeOf(t, err)); diff != "" {
		t.Fatalf("error code (-want +got):\n%s%v", diff, err)
	}
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// breaking gives its bytes and then an error, like a client that goes away.
func breaking(content []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(content), errReader{errors.New("connection reset")})
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }
