package blob_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// identity waits until a change of the blob could be told from none.
func identity(t *testing.T, opened io.ReadSeekCloser) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		told, err := opened.(blob.Opened).Identity()
		if err != nil {
			t.Fatal(err)
		}
		if told != "" {
			return told
		}
	}
	t.Fatal("the blob never has an identity")
	return ""
}

func open(t *testing.T, store *blob.Files, key string) io.ReadSeekCloser {
	t.Helper()
	opened, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

func TestWhateverChangesABlobsFileChangesItsIdentity(t *testing.T) {
	changes := []struct {
		name   string
		change func(path string) error
	}{
		{"a byte is flipped", func(path string) error { return flip(path) }},
		{"a byte is flipped and the time set back", func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, flip(path), os.Chtimes(path, info.ModTime(), info.ModTime()))
		}},
		{"it is cut", func(path string) error { return os.Truncate(path, 3) }},
		{"another file is put in its place", func(path string) error {
			other := filepath.Join(filepath.Dir(path), "other")
			return errors.Join(os.WriteFile(other, []byte("jello"), 0o600), os.Rename(other, path))
		}},
	}
	for _, test := range changes {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			store := openFiles(t, dir)
			key := put(t, store, "hello")
			before := identity(t, open(t, store, key))
			if again := identity(t, open(t, store, key)); again != before {
				t.Fatalf("unchanged it is %s and then %s", before, again)
			}
			if err := test.change(filepath.Join(dir, "blobs", filepath.FromSlash(key))); err != nil {
				t.Fatal(err)
			}
			if after := identity(t, open(t, store, key)); after == before {
				t.Errorf("it is %s before and after", before)
			}
		})
	}
}

func flip(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("j"), 0)
	return errors.Join(err, f.Close())
}

func TestADamagedBlobThatWasSetAsideIsKeptBesideTheStoreAndMakesRoomForTheGoodOne(t *testing.T) {
	dir := t.TempDir()
	store := openFiles(t, dir)
	key := put(t, store, "hello")
	path := filepath.Join(dir, "blobs", filepath.FromSlash(key))
	if err := flip(path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.SetAside(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	aside := filepath.Join(dir, "damaged", digest.FromString("hello").Encoded())
	if got, err := os.ReadFile(aside); err != nil || string(got) != "jello" {
		t.Errorf("beside the store lies %q, %v", got, err)
	}
	if _, err := store.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("the store still has it: %v", err)
	}
	put(t, store, "hello")
	if got, err := os.ReadFile(path); err != nil || string(got) != "hello" {
		t.Errorf("committed again it is %q, %v", got, err)
	}
	if err := store.SetAside(t.Context(), "../escape"); err == nil {
		t.Error("a key that is none was set aside")
	}
}
