package blob_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// begun begins an upload that is saved or, as by a kill, left as it is.
func begun(t *testing.T, store blob.Store, save bool) (state []byte) {
	t.Helper()
	upload, err := store.Create(t.Context(), digest.SHA256)
	if err == nil {
		_, err = io.WriteString(upload, "a part")
	}
	if err == nil && save {
		state, err = upload.Save(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestUploadsThatNoSavedOneNamesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	before := openFiles(t, dir)
	begun(t, before, false)
	begun(t, before, true) // its state was lost
	state := begun(t, before, true)
	foreign := filepath.Join(dir, "uploads", "README")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	store := openFiles(t, dir)
	removed, err := store.RemoveStrayUploads(t.Context(), [][]byte{state})
	if err != nil || removed != 2 {
		t.Errorf("removed %d uploads, error %v, want 2", removed, err)
	}
	upload, err := store.Resume(t.Context(), state)
	if err != nil || upload.Size() != int64(len("a part")) {
		t.Fatalf("the saved upload cannot be gone on with: %v", err)
	}
	if err := upload.Cancel(t.Context()); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "uploads", "*"))
	if diff := cmp.Diff([]string{foreign}, left); err != nil || diff != "" {
		t.Errorf("files that are left (-want +got), error %v:\n%s", err, diff)
	}
}

func TestNoUploadIsRemovedWhereAStateCannotBeRead(t *testing.T) {
	store := openFiles(t, t.TempDir())
	state := begun(t, store, true)
	if removed, err := store.RemoveStrayUploads(t.Context(), [][]byte{[]byte("{")}); err == nil || removed != 0 {
		t.Errorf("removed %d uploads, error %v", removed, err)
	}
	if _, err := store.Resume(t.Context(), state); errors.Is(err, blob.ErrNotFound) {
		t.Error(err)
	}
}
