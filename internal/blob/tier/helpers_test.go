package tier_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/tier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// far is a store beneath a tier: it counts what is read from it, and may fail.
type far struct {
	blob.Store
	mu     sync.Mutex
	opened int
	read   int64
	tag    string // the identity of what is opened from now on
	// spoil is what happens to each run of bytes that is read, at its offset; nil for
	// nothing.
	spoil func(offset int64, p []byte) (int, error)
}

func (f *far) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	content, err := f.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened++
	return &farBlob{ReadSeekCloser: content, far: f, tag: f.tag}, nil
}

type farBlob struct {
	io.ReadSeekCloser
	far    *far
	tag    string
	offset int64
}

func (b *farBlob) Identity() (string, error) { return b.tag, nil }

func (b *farBlob) Near() bool { return false }

func (b *farBlob) Seek(offset int64, whence int) (int64, error) {
	at, err := b.ReadSeekCloser.Seek(offset, whence)
	b.offset = at
	return at, err
}

func (b *farBlob) Read(p []byte) (int, error) {
	n, err := b.ReadSeekCloser.Read(p[:min(len(p), 64<<10)])
	b.far.mu.Lock()
	b.far.read += int64(n)
	spoil := b.far.spoil
	b.far.mu.Unlock()
	if spoil != nil && n > 0 {
		n, err = spoil(b.offset, p[:n])
	}
	b.offset += int64(n)
	return n, err
}

// spoiled has the reads fail from now on.
func (f *far) spoiled(spoil func(offset int64, p []byte) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoil = spoil
}

// since tells what was opened and read since it was last asked.
func (f *far) since() (opened int, read int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	opened, read = f.opened, f.read
	f.opened, f.read = 0, 0
	return opened, read
}

func newFar(t *testing.T) *far {
	t.Helper()
	files, err := blob.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &far{Store: files}
}

const mebibyte = 1 << 20

// above opens a tier with a size in bytes.
func above(t *testing.T, beneath blob.Store, dir string, size int64) *tier.Store {
	t.Helper()
	s, err := tier.Open(beneath, tier.Config{Dir: dir, Size: size, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func content(seed byte, size int) []byte {
	random := rand.NewChaCha8([32]byte{seed})
	p := make([]byte, size)
	_, _ = random.Read(p) // never fails
	return p
}

func put(t *testing.T, store blob.Store, p []byte) string {
	t.Helper()
	upload, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upload.Write(p); err != nil {
		t.Fatal(err)
	}
	key, err := upload.Commit(t.Context(), digest.FromBytes(p))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func open(t *testing.T, s *tier.Store, key string, d digest.Digest) io.ReadSeekCloser {
	t.Helper()
	f, err := s.OpenDigest(t.Context(), key, d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func closed(t *testing.T, f io.Closer) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// wantRead reads a blob whole.
func wantRead(t *testing.T, s *tier.Store, key string, want []byte) {
	t.Helper()
	f := open(t, s, key, digest.FromBytes(want))
	defer closed(t, f)
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want the %d bytes written", len(got), err, len(want))
	}
}

// isKept tells, once all that was coming in has ended, whether a blob is kept.
func isKept(t *testing.T, s *tier.Store, key string) bool {
	t.Helper()
	s.Settle()
	f, err := s.Open(t.Context(), key)
	if errors.Is(err, blob.ErrNotFound) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, f)
	_, isFile := f.(syscall.Conn)
	return isFile
}
