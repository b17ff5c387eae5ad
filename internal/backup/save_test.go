package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

func TestASecondBackupCopiesOnlyWhatIsNew(t *testing.T) {
	r := withBlobs(t, "one", "two", "three")
	archive := openFolder(t, t.TempDir())
	for _, want := range []Report{{Copied: 3, Bytes: 11}, {Held: 3}} {
		var count counter
		got, err := SaveBlobs(t.Context(), r.dump(), r.source(), archive, count.progress)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
		if count.done.Load() != 3 {
			t.Errorf("progress was told of %d blobs", count.done.Load())
		}
	}
	r.keep("four", "demo/app")
	got, err := SaveBlobs(t.Context(), r.dump(), r.source(), archive, silent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Report{Copied: 1, Bytes: 4, Held: 3}, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestWhatIsNotWholeIsNamedAndNotKept(t *testing.T) {
	text := func(s string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
	}
	tests := []struct {
		name    string
		instead func() (io.ReadCloser, error)
		why     string
	}{
		{"a blob with other bytes", text("owt"), "content has digest"},
		{"a blob that is too short", text("tw"), "content has digest"},
		{"a blob that is too long", text("two and more"), "content has digest"},
		{"a blob that is gone", func() (io.ReadCloser, error) { return nil, fmt.Errorf("opening: %w", blob.ErrNotFound) }, "not found"},
		{"a blob on a bad sector", func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(syscall.EIO)), nil }, "input/output error"},
		{"a blob that breaks off", func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)), nil }, "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // what breaks off is tried again, later
			r := withBlobs(t, "one", "two")
			d := digest.FromString("two")
			archive := openFolder(t, t.TempDir())
			source := wrong{r.source(), map[digest.Digest]func() (io.ReadCloser, error){d: tt.instead}}
			got, err := SaveBlobs(t.Context(), r.dump(), source, archive, silent)
			if err != nil {
				t.Fatal(err)
			}
			if got.Copied != 1 || len(got.Lost) != 1 || got.Lost[0].Digest != d || !strings.Contains(got.Lost[0].Why, tt.why) {
				t.Errorf("report: %+v", got)
			}
			if held, err := archive.Holds(t.Context(), d, 3); held || err != nil {
				t.Errorf("it is held: %t, %v", held, err)
			}
		})
	}
}

func TestATransferThatBreaksOffIsTriedAgain(t *testing.T) {
	r := withBlobs(t, "two")
	opened := 0
	source := wrong{r.source(), map[digest.Digest]func() (io.ReadCloser, error){
		digest.FromString("two"): func() (io.ReadCloser, error) {
			if opened++; opened == 1 {
				return io.NopCloser(iotest.ErrReader(errors.New("connection reset"))), nil
			}
			return io.NopCloser(strings.NewReader("two")), nil
		},
	}}
	got, err := SaveBlobs(t.Context(), r.dump(), source, openFolder(t, t.TempDir()), silent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Report{Copied: 1, Bytes: 3}, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// full is an archive on a disk that is full.
type full struct{ Archive }

func (full) Put(context.Context, digest.Digest, int64, io.Reader) error { return syscall.ENOSPC }

func TestAFullDiskEndsTheBackup(t *testing.T) {
	r := withBlobs(t, "one", "two")
	got, err := SaveBlobs(t.Context(), r.dump(), r.source(), full{openFolder(t, t.TempDir())}, silent)
	if !errors.Is(err, syscall.ENOSPC) || len(got.Lost) > 0 {
		t.Errorf("got %+v and the error %v", got, err)
	}
}

func TestADumpThatWasNotWrittenWholeLeavesNoFile(t *testing.T) {
	r := withBlobs(t, "one")
	for name, fn := range map[string]func(io.Writer) error{
		"a full disk": func(io.Writer) error { return syscall.ENOSPC },
		"a connection that ends": func(w io.Writer) error {
			return second(w.Write([]byte(`{"larder":"metadata","format":1,"schema":2}` + "\n")))
		},
		"the whole": func(w io.Writer) error { return second(r.db.Dump(t.Context(), w)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := WriteDump(filepath.Join(dir, "dump"), fn)
			left, readErr := os.ReadDir(dir)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if whole := name == "the whole"; (err == nil) != whole || (len(left) == 1) != whole {
				t.Fatalf("got the error %v, and %v is there", err, left)
			}
			if err != nil {
				return
			}
			if info, err := left[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the dump is %v, %v", info.Mode(), err)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestTheNewestDumpOfAFolderIsTaken(t *testing.T) {
	dir := t.TempDir()
	r := withBlobs(t, "one")
	if _, err := OpenDump(dir); err == nil || !strings.Contains(err.Error(), "give the file itself") {
		t.Errorf("a folder without dumps: %v", err)
	}
	for _, name := range []string{"metadata-20260301T120000Z.dump", "metadata-20260302T110000Z.dump", "metadata-20260301T130000Z.dump", "zebra"} {
		_, err := WriteDump(filepath.Join(dir, name), func(w io.Writer) error { return second(r.db.Dump(t.Context(), w)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := OpenDump(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "metadata-20260302T110000Z.dump"); got.Path != want {
		t.Errorf("got %s, want %s", got.Path, want)
	}
}

func TestOneProcessWritesToAnArchive(t *testing.T) {
	dir := t.TempDir()
	f := openFolder(t, dir)
	if _, err := OpenFolder(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another process writes") {
		t.Errorf("the second: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	openFolder(t, dir)
}

func TestADataFolderIsNoArchive(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "larder.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "data folder of a server") {
		t.Errorf("it was opened: %v", err)
	}
}
