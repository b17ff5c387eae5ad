package backup

import (
	"context"
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registry is a database and the store of its blobs.
type registry struct {
	t     *testing.T
	db    *metadata.DB
	blobs *blob.Files
}

func newRegistry(t *testing.T) *registry {
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
	return &registry{t, db, files}
}

// withBlobs is a registry that keeps texts in the hosted repository demo/app.
func withBlobs(t *testing.T, texts ...string) *registry {
	t.Helper()
	r := newRegistry(t)
	if err := r.db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		r.keep(text, "demo/app")
	}
	return r
}

func (r *registry) keep(text, repository string) metadata.Blob {
	r.t.Helper()
	b := metadata.Blob{Digest: digest.FromString(text), Size: int64(len(text))}
	upload, err := r.blobs.Create(r.t.Context(), digest.SHA256)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(upload, text); err != nil {
		r.t.Fatal(err)
	}
	if b.Key, err = upload.Commit(r.t.Context(), b.Digest); err != nil {
		r.t.Fatal(err)
	}
	if err := r.db.Blobs.Put(r.t.Context(), b, repository); err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *registry) dump() *Dump {
	r.t.Helper()
	d, err := WriteDump(filepath.Join(r.t.TempDir(), "dump"), func(w io.Writer) error {
		_, err := r.db.Dump(r.t.Context(), w)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *registry) source() Source { return FromStore(r.blobs) }

func openFolder(t *testing.T, dir string) *Folder {
	t.Helper()
	f, err := OpenFolder(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// counter is a Progress that counts.
type counter struct{ done atomic.Int64 }

func (c *counter) progress(string, int) func() { return func() { c.done.Add(1) } }

func silent(string, int) func() { return func() {} }

// wrong is a Source that gives, for some digests, other bytes or an error.
type wrong struct {
	Source
	instead map[digest.Digest]func() (io.ReadCloser, error)
}

func (s wrong) Open(ctx context.Context, b metadata.Blob) (io.ReadCloser, error) {
	if open := s.instead[b.Digest]; open != nil {
		return open()
	}
	return s.Source.Open(ctx, b)
}
