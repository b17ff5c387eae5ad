package gc_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const app = oci.Repository("demo/app")

// house is a registry over SQLite and files, and who cleans it.
type house struct {
	*registry.Registry
	*gc.Sweeper
	t *testing.T
}

func newHouse(t *testing.T) *house {
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
	guard := blob.NewGuard()
	h := &house{
		t:        t,
		Registry: registry.New(registry.Config{DB: db, Blobs: files, Guard: guard, Log: slog.New(slog.DiscardHandler)}),
		Sweeper:  &gc.Sweeper{Blobs: files, DB: db, Guard: guard},
	}
	if err := h.EnsureProject(t.Context(), app.Project(), "alice"); err != nil {
		t.Fatal(err)
	}
	return h
}

// later is after everything that a test does.
func later() time.Time { return time.Now().Add(time.Hour) }

func (h *house) push(text string) digest.Digest {
	h.t.Helper()
	d := digest.FromString(text)
	if err := h.PutBlob(h.t.Context(), app, d, bytes.NewReader([]byte(text))); err != nil {
		h.t.Fatal(err)
	}
	return d
}

func (h *house) row(d digest.Digest) metadata.Blob {
	h.t.Helper()
	row, err := h.DB.Blobs.Held(h.t.Context(), d)
	if err != nil {
		h.t.Fatal(err)
	}
	return row
}

func (h *house) unlink(d digest.Digest) {
	h.t.Helper()
	if err := h.DeleteBlob(h.t.Context(), app, d); err != nil {
		h.t.Fatal(err)
	}
}

// stored tells whether a blob's bytes are there.
func (h *house) stored(key string) bool {
	h.t.Helper()
	_, err := h.Blobs.Stat(h.t.Context(), key)
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		h.t.Fatal(err)
	}
	return err == nil
}

func (h *house) remove(row metadata.Blob, storedBefore time.Time, want bool) {
	h.t.Helper()
	removed, err := h.Remove(h.t.Context(), row, storedBefore)
	if err != nil {
		h.t.Fatal(err)
	}
	if removed != want {
		h.t.Fatalf("removed: %v, want %v", removed, want)
	}
}

func TestABlobThatNothingLinksIsRemovedWithItsBytes(t *testing.T) {
	h := newHouse(t)
	row := h.row(h.push("a layer"))
	h.remove(row, later(), false)
	h.unlink(row.Digest)
	h.remove(row, time.Now().Add(-time.Hour), false)
	if !h.stored(row.Key) {
		t.Fatal("the bytes of a blob that was not removed are gone")
	}
	h.remove(row, later(), true)
	if h.stored(row.Key) {
		t.Fatal("the bytes of a blob that was removed are still there")
	}
	h.remove(row, later(), false)
}

// The new bytes have the key of the old ones: removing those must not take them.
func TestABlobThatIsPushedWhileItIsRemovedStaysWhole(t *testing.T) {
	h := newHouse(t)
	for range 200 {
		row := h.row(h.push("a layer"))
		h.unlink(row.Digest)
		swept := make(chan error, 1)
		go func() {
			_, err := h.Remove(t.Context(), row, later())
			swept <- err
		}()
		h.push("a layer")
		if err := <-swept; err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.StatBlob(t.Context(), oci.Caller{}, app, row.Digest); err != nil {
			t.Fatalf("a blob whose push was acknowledged is not there: %v", err)
		}
	}
}
