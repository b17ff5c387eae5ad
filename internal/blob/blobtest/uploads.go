package blobtest

import (
	"context"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
)

func uploads(t *testing.T, open Open) {
	t.Run("what is committed reads back", func(t *testing.T) { committed(t, open) })
	t.Run("concurrent commits of one digest all succeed", func(t *testing.T) { concurrentCommits(t, open) })
	t.Run("a digest that does not match leaves nothing", func(t *testing.T) { mismatchedUpload(t, open) })
	t.Run("a digest that is none is refused and the upload can be canceled", func(t *testing.T) { committedAsNothing(t, open) })

	t.Run("an algorithm that is not registered is refused", func(t *testing.T) {
		store := open(t, t.TempDir())
		if _, err := store.Create(t.Context(), "md5"); err == nil {
			t.Error("Create accepts md5")
		}
		if _, err := store.Spool(t.Context(), digest.SHA384); err == nil {
			t.Error("Spool accepts sha384")
		}
	})

	t.Run("a canceled upload leaves nothing, and its context may be done", func(t *testing.T) {
		store := open(t, t.TempDir())
		done, cancel := context.WithCancel(t.Context())
		cancel()
		for _, size := range []int{0, 1000, severalParts} {
			upload := create(t, store, digest.SHA256)
			write(t, upload, content(1, size))
			for range 2 {
				if err := upload.Cancel(done); err != nil {
					t.Errorf("Cancel after %d bytes: %v", size, err)
				}
			}
		}
		wantNoBlobs(t, store)
	})

	t.Run("a cancel after the commit does nothing", func(t *testing.T) {
		store := open(t, t.TempDir())
		p := content(2, 1000)
		upload := create(t, store, digest.SHA256)
		write(t, upload, p)
		key, err := upload.Commit(t.Context(), digest.FromBytes(p))
		if err != nil {
			t.Fatalf("Commit: %v", err)
		}
		if err := upload.Cancel(t.Context()); err != nil {
			t.Errorf("Cancel: %v", err)
		}
		wantBlob(t, store, key, p)
	})
}

func committed(t *testing.T, open Open) {
	tests := []struct {
		name    string
		running digest.Algorithm
		want    digest.Algorithm
		size    int
	}{
		{"an empty blob", digest.SHA256, digest.SHA256, 0},
		{"a small blob", digest.SHA256, digest.SHA256, 100},
		{"a blob of many writes", digest.SHA256, digest.SHA256, 1 << 20},
		{"a sha512 blob", digest.SHA512, digest.SHA512, 100_000},
		{"sha512 asked for at the end of a sha256 upload", digest.SHA256, digest.SHA512, 100_000},
		{"sha256 asked for at the end of a sha512 upload", digest.SHA512, digest.SHA256, 100_000},
		{"sha512 asked for at the end of an empty sha256 upload", digest.SHA256, digest.SHA512, 0},
		{"a blob of several parts", digest.SHA256, digest.SHA256, severalParts},
		{"sha512 asked for at the end of a sha256 upload of several parts", digest.SHA256, digest.SHA512, severalParts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			store := open(t, dir)
			p := content(3, tt.size)
			upload := create(t, store, tt.running)
			for rest := p; len(rest) > 0; {
				n := min(len(rest), 8191)
				write(t, upload, rest[:n])
				rest = rest[n:]
			}
			if upload.Size() != int64(tt.size) {
				t.Errorf("Size is %d after %d bytes", upload.Size(), tt.size)
			}
			key, err := upload.Commit(t.Context(), tt.want.FromBytes(p))
			if err != nil {
				t.Fatalf("Commit: %v", err)
			}
			wantBlob(t, store, key, p)
			wantBlob(t, open(t, dir), key, p)
		})
	}
}

func concurrentCommits(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	p := content(4, 50_000)
	want := digest.FromBytes(p)
	const writers = 8
	keys := make([]string, writers)
	var running sync.WaitGroup
	for i := range writers {
		running.Go(func() {
			upload, err := store.Create(t.Context(), digest.SHA256)
			if err != nil {
				t.Errorf("Create: %v", err)
				return
			}
			if _, err := upload.Write(p); err != nil {
				t.Errorf("Write: %v", err)
			}
			if keys[i], err = upload.Commit(t.Context(), want); err != nil {
				t.Errorf("Commit: %v", err)
			}
		})
	}
	running.Wait()
	for _, key := range keys {
		wantBlob(t, store, key, p)
	}
	// A driver may keep one blob under several keys, but none that nobody knows.
	known := map[string]bool{}
	for _, key := range keys {
		known[key] = true
	}
	for _, entry := range walk(t, store) {
		if !known[entry.Key] {
			t.Errorf("blob %s is kept, but no Commit returned its key", entry.Key)
		}
	}
}

func mismatchedUpload(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, p := range [][]byte{[]byte("what came"), content(20, severalParts)} {
			upload := create(t, store, digest.SHA256)
			write(t, upload, p)
			want := alg.FromString("what was promised")
			_, err := upload.Commit(t.Context(), want)
			wantMismatch(t, err, want, alg.FromBytes(p))
			if err := upload.Cancel(t.Context()); err != nil {
				t.Errorf("Cancel after a mismatch: %v", err)
			}
		}
	}
	wantNoBlobs(t, store)
}

func committedAsNothing(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	upload := create(t, store, digest.SHA256)
	for _, want := range []digest.Digest{"", "sha256:../../../../etc/passwd", "sha384:" + digest.Digest(digest.SHA384.FromString("").Encoded())} {
		if key, err := upload.Commit(t.Context(), want); err == nil {
			t.Errorf("Commit of %q is kept under %q", want, key)
		}
	}
	if err := upload.Cancel(t.Context()); err != nil {
		t.Errorf("Cancel: %v", err)
	}
	wantNoBlobs(t, store)
}
