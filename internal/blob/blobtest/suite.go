// Package blobtest holds the one suite that every driver of blob.Store passes.
package blobtest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// Open opens the store that belongs to dir, a folder of the test. A second call
// with the same folder opens what the first has kept, as after a restart.
type Open func(t *testing.T, dir string) blob.Store

// severalParts is a size in bytes that a driver which cuts blobs into parts of
// 5 MiB, the smallest that S3 knows, keeps in three.
const severalParts = 11<<20 + 5

// Run runs the suite. A driver that keeps blobs in parts is opened with parts of
// 5 MiB.
func Run(t *testing.T, open Open) {
	t.Run("uploads", func(t *testing.T) { uploads(t, open) })
	t.Run("resumed uploads", func(t *testing.T) { resumedUploads(t, open) })
	t.Run("spools", func(t *testing.T) { spools(t, open) })
	t.Run("blobs", func(t *testing.T) { blobs(t, open) })
}

// content makes size bytes that differ from seed to seed.
func content(seed byte, size int) []byte {
	random := rand.NewChaCha8([32]byte{seed})
	p := make([]byte, size)
	_, _ = random.Read(p) // never fails
	return p
}

func create(t *testing.T, store blob.Store, alg digest.Algorithm) blob.Upload {
	t.Helper()
	upload, err := store.Create(t.Context(), alg)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return upload
}

func write(t *testing.T, w io.Writer, p []byte) {
	t.Helper()
	if n, err := w.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write of %d bytes: %d, %v", len(p), n, err)
	}
}

func save(t *testing.T, upload blob.Upload) []byte {
	t.Helper()
	state, err := upload.Save(t.Context())
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	return state
}

func resume(t *testing.T, store blob.Store, state []byte) blob.Upload {
	t.Helper()
	upload, err := store.Resume(t.Context(), state)
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	return upload
}

// put keeps a blob and returns its key.
func put(t *testing.T, store blob.Store, p []byte) string {
	t.Helper()
	upload := create(t, store, digest.SHA256)
	write(t, upload, p)
	key, err := upload.Commit(t.Context(), digest.FromBytes(p))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return key
}

// wantBlob fails the test unless the key holds exactly these bytes.
func wantBlob(t *testing.T, store blob.Store, key string, want []byte) {
	t.Helper()
	size, err := store.Stat(t.Context(), key)
	if err != nil || size != int64(len(want)) {
		t.Errorf("Stat: %d, %v; want %d bytes", size, err, len(want))
	}
	f, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	got, err := io.ReadAll(f)
	if err != nil {
		t.Errorf("reading blob %s: %v", key, err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("blob %s holds %d bytes that are not the %d bytes written", key, len(got), len(want))
	}
	if err := f.Close(); err != nil {
		t.Errorf("closing blob %s: %v", key, err)
	}
}

// walk collects what Walk names.
func walk(t *testing.T, store blob.Store) []blob.Entry {
	t.Helper()
	var entries []blob.Entry
	err := store.Walk(t.Context(), func(e blob.Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	return entries
}

func wantNoBlobs(t *testing.T, store blob.Store) {
	t.Helper()
	if entries := walk(t, store); len(entries) != 0 {
		t.Errorf("%d blobs are kept, want none: %v", len(entries), entries)
	}
}

func wantMismatch(t *testing.T, err error, want, got digest.Digest) {
	t.Helper()
	mismatch, ok := errors.AsType[*blob.MismatchError](err)
	if !ok {
		t.Fatalf("error is %v, want a *MismatchError", err)
	}
	if mismatch.Want != want || mismatch.Got != got {
		t.Errorf("the mismatch says got %s, want %s; it is got %s, want %s", mismatch.Got, mismatch.Want, got, want)
	}
}

func wantNotFound(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%s: error is %v, want ErrNotFound", what, err)
	}
}
