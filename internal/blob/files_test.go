package blob_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/blobtest"
)

func TestFilesPassTheSuite(t *testing.T) {
	blobtest.Run(t, func(t *testing.T, dir string) blob.Store { return openFiles(t, dir) })
}

func openFiles(t *testing.T, dir string) *blob.Files {
	t.Helper()
	store, err := blob.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// put keeps a blob and returns its key.
func put(t *testing.T, store blob.Store, text string) string {
	t.Helper()
	upload, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(upload, text); err != nil {
		t.Fatal(err)
	}
	key, err := upload.Commit(t.Context(), digest.FromString(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// tree lists the files below dir with their modes, and the folders that are not
// made with 0750.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() && info.Mode().Perm() == 0o750 {
			return nil
		}
		name, err = filepath.Rel(dir, name)
		found = append(found, info.Mode().String()+" "+name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAKeyIsTheDigestsPathAndNothingElseStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "made", "yet")
	store := openFiles(t, dir)
	put(t, store, "hello")
	if key := put(t, store, "hello"); key != "sha256/2c/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" {
		t.Errorf("key is %s", key)
	}
	upload, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upload.Commit(t.Context(), digest.FromString("something else")); err == nil {
		t.Error("Commit accepts a wrong digest")
	}
	want := []string{"-rw-r----- blobs/sha256/2c/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestStaleSpoolsAreRemovedAndUploadsStay(t *testing.T) {
	dir := t.TempDir()
	store := openFiles(t, dir)
	if _, err := store.Spool(t.Context(), digest.SHA256); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), digest.SHA256); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "spool", "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	openFiles(t, dir)
	var left []string
	for _, name := range tree(t, dir) {
		left = append(left, strings.TrimRight(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
	}
	if diff := cmp.Diff([]string{"-rw------- spool/notes.txt", "-rw-r----- uploads/"}, left); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestAnUploadThatLostDurableBytesIsNotFoundAndRemoved(t *testing.T) {
	dir := t.TempDir()
	store := openFiles(t, dir)
	upload, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(upload, "0123456789"); err != nil {
		t.Fatal(err)
	}
	state, err := upload.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "uploads", "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("uploads: %v, %v", names, err)
	}
	if err := os.Truncate(names[0], 9); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Resume(t.Context(), state); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error is %v, want ErrNotFound", err)
	}
	if left := tree(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAHashStateInAnUnknownFormIsMadeAnewFromTheBytes(t *testing.T) {
	store := openFiles(t, t.TempDir())
	upload, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(upload, "begun "); err != nil {
		t.Fatal(err)
	}
	state, err := upload.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := bytes.Cut(state, []byte(`"hash":"`))
	if !found {
		t.Fatalf("the state holds no hash: %s", state)
	}
	upload, err = store.Resume(t.Context(), append(before, `"hash":"b3RoZXI="}`...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(upload, "and ended"); err != nil {
		t.Fatal(err)
	}
	if _, err := upload.Commit(t.Context(), digest.FromString("begun and ended")); err != nil {
		t.Error(err)
	}
}

func TestAStateThatLeadsElsewhereIsRefused(t *testing.T) {
	dir := t.TempDir()
	store := openFiles(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "metadata.db"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{
		`{"file":"../metadata.db","offset":0,"algorithm":"sha256"}`,
		`{"file":"","offset":0,"algorithm":"sha256"}`,
		`{"file":"AAAAAAAAAAAAAAAAAAAAAAAAAA","offset":-1,"algorithm":"sha256"}`,
		`{"file":"AAAAAAAAAAAAAAAAAAAAAAAAAA","offset":0,"algorithm":"md5"}`,
	} {
		if _, err := store.Resume(t.Context(), []byte(state)); err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Resume of %s: error is %v, want one that refuses the state", state, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "metadata.db")); err != nil || string(got) != "precious" {
		t.Errorf("metadata.db is now %q, %v", got, err)
	}
}

func TestAKeyThatIsNoDigestsPathIsRefused(t *testing.T) {
	dir := t.TempDir()
	store := openFiles(t, dir)
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	encoded := digest.FromString("x").Encoded()
	for _, key := range []string{
		"", "/", ".", "..", "../victim", "sha256", "sha256/", "sha256/2d",
		"sha256/ab/../../../victim", "sha256/../../victim",
		"sha256/00/" + encoded, "sha256/" + encoded[:2] + "/" + encoded + "/..",
		"sha256/" + encoded[:2] + "//" + encoded, "sha256/" + encoded[:2] + "/" + strings.ToUpper(encoded),
		"sha384/" + encoded[:2] + "/" + encoded, "sha256\\" + encoded[:2] + "\\" + encoded,
	} {
		if _, err := store.Stat(t.Context(), key); err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Stat of %q: error is %v, want one that refuses the key", key, err)
		}
		if _, err := store.Open(t.Context(), key); err == nil || errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Open of %q: error is %v, want one that refuses the key", key, err)
		}
		if err := store.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete of %q succeeds", key)
		}
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
}

func TestABlobOfAnotherSizeIsReplacedByTheCommitOfItsDigest(t *testing.T) {
	dir := t.TempDir()
	store := openFiles(t, dir)
	key := put(t, store, "whole")
	name := filepath.Join(dir, "blobs", filepath.FromSlash(key))
	if err := os.Truncate(name, 2); err != nil {
		t.Fatal(err)
	}
	put(t, store, "whole")
	if got, err := os.ReadFile(name); err != nil || string(got) != "whole" {
		t.Errorf("the blob is %q, %v", got, err)
	}
}

func TestAFileInPlaceOfAFolderIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "blobs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{dir, filepath.Join(dir, "blobs")} {
		if _, err := blob.OpenFiles(folder); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "blobs")) {
			t.Errorf("error is %v, want one that names %s", err, filepath.Join(dir, "blobs"))
		}
	}
}

func TestABlobIsServedWithRangesAsAFile(t *testing.T) {
	store := openFiles(t, t.TempDir())
	f, err := store.Open(t.Context(), put(t, store, "0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, ok := f.(syscall.Conn); !ok {
		t.Errorf("Open returns a %T: the kernel sends a syscall.Conn only", f)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Range", "bytes=3-5")
	w := httptest.NewRecorder()
	http.ServeContent(w, r, "", time.Time{}, f)
	if got := w.Body.String(); w.Code != http.StatusPartialContent || got != "345" {
		t.Errorf("answer is %d %q, want 206 and bytes 3 to 5", w.Code, got)
	}
}

func TestAnOpenBlobIsReadToItsEndAfterItsDeletion(t *testing.T) {
	store := openFiles(t, t.TempDir())
	key := put(t, store, "still here")
	f, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := store.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "still here" {
		t.Errorf("read %q, %v", got, err)
	}
}
