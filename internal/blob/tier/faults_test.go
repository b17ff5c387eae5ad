package tier_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

func TestWhatDidNotComeWholeIsNotKeptAndItsReaderGoesOn(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(offset int64, p []byte) (int, error)
	}{
		{"the download fails", func(int64, []byte) (int, error) { return 0, errors.New("storage fails") }},
		{"the download ends too early", func(int64, []byte) (int, error) { return 0, io.EOF }},
		{"its last bytes are cut", func(_ int64, p []byte) (int, error) { return len(p) / 2, io.EOF }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			beneath := newFar(t)
			dir := t.TempDir()
			s := above(t, beneath, dir, 10*mebibyte)
			p := content(1, 2*mebibyte)
			key := put(t, s, p)
			// Once: the download is the first to read there.
			failed := false
			beneath.spoiled(func(offset int64, q []byte) (int, error) {
				if offset < mebibyte || failed {
					return len(q), nil
				}
				failed = true
				return tt.spoil(offset, q)
			})
			wantRead(t, s, key, p)
			if isKept(t, s, key) {
				t.Error("it is kept")
			}
			wantFiles(t, dir, 0)
			wantRead(t, s, key, p)
			if !isKept(t, s, key) {
				t.Error("it is not kept the next time either")
			}
		})
	}
}

func TestWrongBytesAreNeverGivenWholeAndNeverKept(t *testing.T) {
	beneath := newFar(t)
	dir := t.TempDir()
	s := above(t, beneath, dir, 10*mebibyte)
	p := content(2, 2*mebibyte)
	key := put(t, s, p)
	beneath.spoiled(func(offset int64, q []byte) (int, error) {
		if offset == 0 {
			q[10] ^= 1
		}
		return len(q), nil
	})
	f := open(t, s, key, digest.FromBytes(p))
	got, err := io.ReadAll(f)
	closed(t, f)
	if _, ok := errors.AsType[*blob.MismatchError](err); !ok || len(got) >= len(p) {
		t.Errorf("read %d of %d bytes, %v; want a *MismatchError before the end", len(got), len(p), err)
	}
	s.Settle()
	wantFiles(t, dir, 0)
	beneath.spoiled(nil)
	wantRead(t, s, key, p)
}

func TestWhoComesAfterAFailureBeginsAnew(t *testing.T) {
	beneath := newFar(t)
	s := above(t, beneath, t.TempDir(), 10*mebibyte)
	p := content(5, 10_000)
	key := put(t, s, p)
	for range 100 {
		beneath.spoiled(func(_ int64, q []byte) (int, error) { q[0] ^= 1; return len(q), nil })
		f := open(t, s, key, digest.FromBytes(p))
		if _, err := io.ReadAll(f); err == nil {
			t.Fatal("wrong bytes were given whole")
		}
		beneath.spoiled(nil)
		wantRead(t, s, key, p)
		closed(t, f)
		s.DropCopy(key)
		s.Settle()
		s.DropCopy(key)
	}
}

func TestADigestThatIsNoneIsRefused(t *testing.T) {
	s := above(t, newFar(t), t.TempDir(), mebibyte)
	if _, err := s.OpenDigest(t.Context(), put(t, s, []byte("x")), "md5:00"); err == nil {
		t.Error("md5:00 is taken for a digest")
	}
}

func TestALocalFolderThatFailsOnlyMeansNotKept(t *testing.T) {
	p := content(3, 2*mebibyte)
	tests := []struct {
		name  string
		spoil func(dir string, beneath *far) error
	}{
		{"it is gone", func(dir string, _ *far) error { return os.RemoveAll(dir) }},
		{"it goes while a blob is coming in", func(dir string, beneath *far) error {
			beneath.spoiled(func(offset int64, q []byte) (int, error) {
				if offset >= mebibyte {
					return len(q), os.RemoveAll(dir)
				}
				return len(q), nil
			})
			return nil
		}},
		{"what is kept in it is cut", func(dir string, _ *far) error {
			return onlyFile(dir, func(name string) error { return os.Truncate(name, 10) })
		}},
		{"what is kept in it is removed", func(dir string, _ *far) error { return onlyFile(dir, os.Remove) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			beneath := newFar(t)
			dir := filepath.Join(t.TempDir(), "hot")
			s := above(t, beneath, dir, 10*mebibyte)
			key, other := put(t, s, p), put(t, s, []byte("other"))
			wantRead(t, s, other, []byte("other"))
			s.Settle()
			if err := tt.spoil(dir, beneath); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				wantRead(t, s, key, p)
				wantRead(t, s, other, []byte("other"))
				s.Settle()
			}
		})
	}
}

// onlyFile calls fn for the one file of a folder.
func onlyFile(dir string, fn func(name string) error) error {
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("found %v, %w", found, err)
	}
	return fn(found[0])
}

func TestAReaderGoesOnBeneathWhenTheTierIsClosed(t *testing.T) {
	s := above(t, newFar(t), t.TempDir(), 10*mebibyte)
	p := content(4, 2*mebibyte)
	key := put(t, s, p)
	f := open(t, s, key, digest.FromBytes(p))
	defer closed(t, f)
	first := make([]byte, 1000)
	if _, err := io.ReadFull(f, first); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if rest, err := io.ReadAll(f); err != nil || !bytes.Equal(append(first, rest...), p) {
		t.Errorf("read %d bytes more, %v", len(rest), err)
	}
	wantRead(t, s, key, p)
}
