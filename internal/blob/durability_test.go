package blob

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// operation is one call of the disk. Paths are relative to the store's folder.
type operation struct {
	verb     string // "write", "sync", "rename", "sync folder"
	path, to string
}

// recorder does what the real disk does, and remembers it.
type recorder struct {
	realDisk
	root string
	// failSync, when set, is what syncFile returns.
	failSync error

	mu   sync.Mutex
	done []operation
}

func (r *recorder) record(verb, path, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, operation{verb, r.relative(path), r.relative(to)})
}

func (r *recorder) relative(path string) string {
	if path == "" {
		return ""
	}
	short, err := filepath.Rel(r.root, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(short)
}

func (r *recorder) syncFile(f *os.File) error {
	if r.failSync != nil {
		return r.failSync
	}
	r.record("sync", f.Name(), "")
	return r.realDisk.syncFile(f)
}

func (r *recorder) rename(from, to string) error {
	r.record("rename", from, to)
	return r.realDisk.rename(from, to)
}

func (r *recorder) syncFolder(path string) error {
	r.record("sync folder", path, "")
	return r.realDisk.syncFolder(path)
}

func (r *recorder) taken() []operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.done
	r.done = nil
	return done
}

// lost says what a power loss after these operations would take from the blob
// at path, or nothing.
func lost(done []operation, path string) string {
	clean := map[string]bool{}  // the file's bytes are on the disk
	stable := map[string]bool{} // the folder was synced since its last new entry
	arrived := false
	for _, op := range done {
		switch op.verb {
		case "write":
			clean[op.path] = false
		case "sync":
			clean[op.path] = true
		case "rename":
			if !clean[op.path] {
				return "its bytes: it was renamed before it was synced"
			}
			stable[filepath.Dir(op.to)] = false
			arrived = arrived || op.to == path
		case "sync folder":
			stable[op.path] = true
		}
	}
	if !arrived {
		return "the blob: it was never renamed to its place"
	}
	for folder := filepath.Dir(path); folder != "."; folder = filepath.Dir(folder) {
		if !stable[folder] {
			return "its name: " + folder + " was not synced"
		}
	}
	return ""
}

func TestTheCheckOfTheOrderFindsAWrongOne(t *testing.T) {
	const path = "blobs/sha256/ab/abcd"
	var (
		written = operation{"write", "uploads/X", ""}
		synced  = operation{"sync", "uploads/X", ""}
		renamed = operation{"rename", "uploads/X", path}
		shard   = operation{"sync folder", "blobs/sha256/ab", ""}
		parents = operation{"sync folder", "blobs/sha256", ""}
		blobs   = operation{"sync folder", "blobs", ""}
	)
	tests := []struct {
		name string
		done []operation
		want string
	}{
		{"bytes, then the name", []operation{blobs, parents, written, synced, renamed, shard}, ""},
		{"no sync of the file", []operation{blobs, parents, written, renamed, shard}, "its bytes: it was renamed before it was synced"},
		{"the rename before the sync", []operation{blobs, parents, written, renamed, synced, shard}, "its bytes: it was renamed before it was synced"},
		{"a write after the sync", []operation{blobs, parents, synced, written, renamed, shard}, "its bytes: it was renamed before it was synced"},
		{"no sync of the folder", []operation{blobs, parents, synced, renamed}, "its name: blobs/sha256/ab was not synced"},
		{"the folder before the rename", []operation{blobs, parents, synced, shard, renamed}, "its name: blobs/sha256/ab was not synced"},
		{"a new folder not synced into its parent", []operation{blobs, synced, renamed, shard}, "its name: blobs/sha256 was not synced"},
		{"no rename", []operation{blobs, parents, synced, shard}, "the blob: it was never renamed to its place"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := lost(tt.done, path); got != tt.want {
				t.Errorf("lost is %q, want %q", got, tt.want)
			}
		})
	}
}

func recorded(t *testing.T) (*Files, *recorder) {
	t.Helper()
	root := t.TempDir()
	disk := &recorder{root: root}
	store, err := openFiles(root, disk)
	if err != nil {
		t.Fatal(err)
	}
	return store, disk
}

// wrote tells the recorder of a write, which is no call of the disk's.
func wrote(t *testing.T, disk *recorder, in *incoming, text string) {
	t.Helper()
	disk.record("write", in.file.Name(), "")
	if _, err := in.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestACommitIsDurableBeforeItReturns(t *testing.T) {
	store, disk := recorded(t)
	want := digest.FromString("text")

	upload, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	wrote(t, disk, upload.(*fileUpload).incoming, "text")
	key, err := upload.Commit(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if loss := lost(disk.taken(), "blobs/"+key); loss != "" {
		t.Errorf("a power loss after the commit of an upload takes %s", loss)
	}

	if err := store.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	folder := operation{"sync folder", filepath.Dir("blobs/" + key), ""}
	if diff := cmp.Diff([]operation{folder}, disk.taken(), cmp.AllowUnexported(operation{})); diff != "" {
		t.Errorf("operations of a deletion (-want +got):\n%s", diff)
	}

	// The folders were made by the first commit, so only the blob itself is left.
	spool, err := store.Spool(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = spool.Close() }()
	in := spool.(*fileSpool).incoming
	source := disk.relative(in.file.Name())
	wrote(t, disk, in, "text")
	if _, err := spool.Commit(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	order := []operation{{"write", source, ""}, {"sync", source, ""}, {"rename", source, "blobs/" + key}, folder}
	if diff := cmp.Diff(order, disk.taken(), cmp.AllowUnexported(operation{})); diff != "" {
		t.Errorf("operations of a spool's commit (-want +got):\n%s", diff)
	}
}

func TestEachOfManyCommitsIsDurableByItself(t *testing.T) {
	store, disk := recorded(t)
	setup := disk.taken()
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			text := fmt.Sprint("blob ", i)
			upload, err := store.Create(t.Context(), digest.SHA256)
			if err != nil {
				t.Error(err)
				return
			}
			disk.record("write", upload.(*fileUpload).file.Name(), "")
			if _, err := upload.Write([]byte(text)); err != nil {
				t.Error(err)
			}
			if _, err := upload.Commit(t.Context(), digest.FromString(text)); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	done := append(setup, disk.taken()...)
	for i := range 20 {
		path := "blobs/" + keyOf(digest.FromString(fmt.Sprint("blob ", i)))
		if loss := lost(done, path); loss != "" {
			t.Errorf("a power loss after all commits takes from %s %s", path, loss)
		}
	}
}

func TestACommitOfABlobThatIsThereSyncsItsFolder(t *testing.T) {
	store, disk := recorded(t)
	for i := range 2 {
		disk.taken()
		upload, err := store.Create(t.Context(), digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		key, err := upload.Commit(t.Context(), digest.FromString(""))
		if err != nil {
			t.Fatal(err)
		}
		want := []operation{{"sync folder", filepath.Dir("blobs/" + key), ""}}
		if diff := cmp.Diff(want, disk.taken(), cmp.AllowUnexported(operation{})); i == 1 && diff != "" {
			t.Errorf("operations (-want +got):\n%s", diff)
		}
	}
}

func TestASavedUploadIsDurable(t *testing.T) {
	store, disk := recorded(t)
	disk.taken()
	upload, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	name := disk.relative(upload.(*fileUpload).file.Name())
	if _, err := upload.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []operation{{"sync", name, ""}, {"sync folder", "uploads", ""}}
	if diff := cmp.Diff(want, disk.taken(), cmp.AllowUnexported(operation{})); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
}

func TestBytesThatCouldNotBeSyncedAreNotTriedAgain(t *testing.T) {
	store, disk := recorded(t)
	upload, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	disk.failSync = errors.New("the disk is on fire")
	if _, err := upload.Commit(t.Context(), digest.FromString("")); !errors.Is(err, disk.failSync) {
		t.Errorf("error is %v, want that of the disk", err)
	}
	disk.failSync = nil
	if _, err := upload.Commit(t.Context(), digest.FromString("")); err == nil || !strings.Contains(err.Error(), "after its end") {
		t.Errorf("error is %v, want one that says the upload has ended", err)
	}
	if err := upload.Cancel(t.Context()); err != nil {
		t.Error(err)
	}
}
