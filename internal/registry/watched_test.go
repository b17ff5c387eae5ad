package registry_test

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// watched is a store whose readings are counted, and may be far or fail.
type watched struct {
	*blob.Files
	opened atomic.Int64
	far    bool
	fails  atomic.Pointer[error]
	// once is done to the next bytes that are read.
	once atomic.Pointer[func([]byte)]
	// before is called before each opening; nil for nothing.
	before func()
}

type watchedFile struct {
	blob.Opened
	store *watched
}

func (w *watched) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	w.opened.Add(1)
	if w.before != nil {
		w.before()
	}
	opened, err := w.Files.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	return &watchedFile{opened.(blob.Opened), w}, nil
}

func (f *watchedFile) Near() bool { return !f.store.far }

func (f *watchedFile) Read(p []byte) (int, error) {
	if failure := f.store.fails.Load(); failure != nil {
		return 0, *failure
	}
	n, err := f.Opened.Read(p)
	if once := f.store.once.Swap(nil); once != nil {
		(*once)(p[:n])
	}
	return n, err
}

// openings is how many times a blob was opened by what it is given.
func (w *watched) openings(during func()) int64 {
	before := w.opened.Load()
	during()
	return w.opened.Load() - before
}

func watch(h *house) *watched {
	w := &watched{Files: h.files}
	h.over(w)
	return w
}

// rest waits until the blob's file has an identity.
func (h *house) rest(d digest.Digest) {
	h.t.Helper()
	row, err := h.db.Blobs.Held(h.t.Context(), d)
	if err != nil {
		h.t.Fatal(err)
	}
	f, err := h.files.Open(h.t.Context(), row.Key)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if identity, err := f.(blob.Opened).Identity(); err != nil || identity != "" || time.Now().After(deadline) {
			return
		}
	}
}
