package blob_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

func TestWalkPassesOverForeignFiles(t *testing.T) {
	dir := t.TempDir()
	store := openFiles(t, dir)
	key := put(t, store, "ours")
	encoded := digest.FromString("x").Encoded()
	for _, name := range []string{
		"README", "lost+found/1", "sha256/notes.txt", "sha256/zz/file", "sha256/" + key[7:9] + "/" + encoded + ".tmp",
		"sha256/00/" + encoded, "sha1/ab/abcd", "sha256/" + encoded[:2] + "/" + encoded + "/folder",
	} {
		name = filepath.Join(dir, "blobs", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	if err := store.Walk(t.Context(), func(e blob.Entry) error { got = append(got, e.Key); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{key}, got); diff != "" {
		t.Errorf("walk (-want +got):\n%s", diff)
	}
}

func TestWalkFailsWhenTheFolderOfBlobsIsGone(t *testing.T) {
	dir := t.TempDir()
	store := openFiles(t, dir)
	if err := os.Remove(filepath.Join(dir, "blobs")); err != nil {
		t.Fatal(err)
	}
	if err := store.Walk(t.Context(), func(blob.Entry) error { return nil }); err == nil {
		t.Error("a folder that cannot be read looks like an empty one")
	}
}

func TestWalkStopsAmidAFolder(t *testing.T) {
	store := openFiles(t, t.TempDir())
	texts := map[string]string{} // by shard
	for i := 0; ; i++ {
		text := fmt.Sprint("blob ", i)
		shard := digest.FromString(text).Encoded()[:2]
		if other, ok := texts[shard]; ok {
			put(t, store, text)
			put(t, store, other)
			break
		}
		texts[shard] = text
	}
	ctx, cancel := context.WithCancel(t.Context())
	met := 0
	err := store.Walk(ctx, func(blob.Entry) error {
		met++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || met != 1 {
		t.Errorf("walk met %d of two blobs in one folder and returned %v", met, err)
	}
}
