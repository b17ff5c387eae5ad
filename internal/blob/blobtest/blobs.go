package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/larder-registry/larder/internal/blob"
)

func blobs(t *testing.T, open Open) {
	t.Run("a range is read by Seek", func(t *testing.T) { ranges(t, open) })
	t.Run("walk names every blob in lexical order", func(t *testing.T) { walkAll(t, open) })
	t.Run("walk stops", func(t *testing.T) { walkStops(t, open) })

	t.Run("a deleted blob is gone, and deleting it again is no error", func(t *testing.T) {
		store := open(t, t.TempDir())
		gone, kept := put(t, store, []byte("gone")), put(t, store, []byte("kept"))
		for range 2 {
			if err := store.Delete(t.Context(), gone); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
		_, err := store.Stat(t.Context(), gone)
		wantNotFound(t, "Stat", err)
		_, err = store.Open(t.Context(), gone)
		wantNotFound(t, "Open", err)
		wantBlob(t, store, kept, []byte("kept"))
	})

	t.Run("a deleted blob can be kept again", func(t *testing.T) {
		store := open(t, t.TempDir())
		if err := store.Delete(t.Context(), put(t, store, []byte("back"))); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		wantBlob(t, store, put(t, store, []byte("back")), []byte("back"))
	})
}

func ranges(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	p := content(12, 100_000)
	f, err := store.Open(t.Context(), put(t, store, p))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer func() { _ = f.Close() }()
	tests := []struct {
		name   string
		offset int64
		whence int
		want   int64
		length int64
	}{
		{"the end, as a server asks for the size", 0, io.SeekEnd, 100_000, 0},
		{"the first byte", 0, io.SeekStart, 0, 1},
		{"on from there", 0, io.SeekCurrent, 1, 10},
		{"the middle", 50_000, io.SeekStart, 50_000, 20_000},
		{"back again", -60_000, io.SeekCurrent, 10_000, 30_000},
		{"the last bytes", -17, io.SeekEnd, 99_983, 17},
	}
	for _, tt := range tests {
		at, err := f.Seek(tt.offset, tt.whence)
		if err != nil || at != tt.want {
			t.Fatalf("%s: Seek: %d, %v; want %d", tt.name, at, err, tt.want)
		}
		got, err := io.ReadAll(io.LimitReader(f, tt.length))
		if err != nil || !bytes.Equal(got, p[at:at+tt.length]) {
			t.Errorf("%s: read %d bytes, %v; want the %d bytes from %d", tt.name, len(got), err, tt.length, at)
		}
	}
}

func walkAll(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	wantNoBlobs(t, store)
	before := time.Now().Add(-2 * time.Second) // object stores round to seconds
	var want []blob.Entry
	for i := range 40 {
		p := content(byte(i), i*100)
		want = append(want, blob.Entry{Key: put(t, store, p), Size: int64(len(p))})
	}
	slices.SortFunc(want, func(a, b blob.Entry) int { return strings.Compare(a.Key, b.Key) })

	got := walk(t, store)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(blob.Entry{}, "Modified")); diff != "" {
		t.Errorf("walk (-want +got):\n%s", diff)
	}
	for _, entry := range got {
		if entry.Modified.Before(before) || entry.Modified.After(time.Now().Add(2*time.Second)) {
			t.Errorf("blob %s was modified at %s, want about now", entry.Key, entry.Modified)
		}
	}
}

func walkStops(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	for i := range 5 {
		put(t, store, content(byte(i), 10))
	}
	full := errors.New("enough")
	met := 0
	err := store.Walk(t.Context(), func(blob.Entry) error {
		if met++; met == 2 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || met != 2 {
		t.Errorf("an error of the function: walk met %d blobs and returned %v", met, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	met = 0
	err = store.Walk(ctx, func(blob.Entry) error {
		if met++; met == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || met != 2 {
		t.Errorf("a context that ends: walk met %d blobs and returned %v", met, err)
	}
}
