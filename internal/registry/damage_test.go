package registry_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// small blobs are verified before anything is answered, large ones meanwhile.
const (
	small = 10_000
	large = 3 << 20
)

// damages are what may happen to a file under a running server.
func damages() map[string]func(path string) error {
	return map[string]func(path string) error{
		"a byte is flipped": flip,
		"the last byte is flipped": func(path string) error {
			info, err := os.Stat(path)
			return errors.Join(err, flipAt(path, info.Size()-1))
		},
		"it is cut":     func(path string) error { return os.Truncate(path, small/2) },
		"it is emptied": func(path string) error { return os.Truncate(path, 0) },
		"it has grown": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		},
		"it is deleted": os.Remove,
		"another file of that size is put in its place": func(path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			other := path + ".other"
			return errors.Join(os.WriteFile(other, make([]byte, info.Size()), 0o600), os.Rename(other, path))
		},
	}
}

func flip(path string) error { return flipAt(path, 0) }

func flipAt(path string, offset int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], offset)
	b[0] ^= 1
	_, written := f.WriteAt(b[:], offset)
	return errors.Join(err, written, f.Close())
}

// pull reads a blob as a response does: all but its last byte, and that when it has
// been verified. With part it reads only so many bytes from the middle.
func (h *house) pull(repo oci.Repository, d digest.Digest, part int64) ([]byte, error) {
	h.t.Helper()
	opened, _, err := h.Blob(h.t.Context(), oci.Caller{}, repo, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	source := io.Reader(opened.(*registry.StoredBlob).Stored())
	if part > 0 {
		if _, err := source.(io.Seeker).Seek(opened.Size()/2, io.SeekStart); err != nil {
			h.t.Fatal(err)
		}
		source = io.LimitReader(source, part)
	}
	content, err := io.ReadAll(source)
	if err != nil {
		return nil, err
	}
	return content, opened.Verified(h.t.Context())
}

func (h *house) pulls(repo oci.Repository, content []byte) {
	h.t.Helper()
	got, err := h.pull(repo, digest.FromBytes(content), 0)
	if err != nil || !bytes.Equal(content, got) {
		h.t.Fatalf("pulled %d bytes, %v", len(got), err)
	}
}

func TestADamagedBlobIsServedToNobodyAndAPushMendsIt(t *testing.T) {
	for name, damage := range damages() {
		for _, test := range []struct {
			when string
			size int
			warm bool
			part int64
		}{
			{when: "before its first pull", size: small},
			{when: "after a pull", size: small, warm: true},
			{when: "before a pull of a part", size: small, part: 100},
			{when: "while it is large", size: large},
			{when: "while it is large, after a pull", size: large, warm: true},
			{when: "while it is large, before a pull of a part", size: large, warm: true, part: 100},
		} {
			t.Run(name+" "+test.when, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				content := random(t, test.size)
				d := h.pushBlob(app, content)
				if test.warm {
					h.pulls(app, content)
				}
				if err := damage(h.file(d)); err != nil {
					t.Fatal(err)
				}
				if _, err := h.pull(app, d, test.part); !errors.Is(err, registry.ErrDamaged) {
					t.Fatalf("it was pulled: %v", err)
				}
				h.isSetAside(d)
				h.pushBlob(app, content)
				h.pulls(app, content)
			})
		}
	}
}

// isSetAside fails unless a push is told that the blob is missing and a pull that it is
// damaged.
func (h *house) isSetAside(d digest.Digest) {
	h.t.Helper()
	_, _, err := h.StatBlob(h.t.Context(), oci.Caller{}, app, d)
	expectCode(h.t, oci.CodeBlobUnknown, err)
	_, _, err = h.Blob(h.t.Context(), oci.Caller{}, app, d)
	expectCode(h.t, oci.CodeUnknown, err)
	if !errors.Is(err, registry.ErrDamaged) {
		h.t.Errorf("ErrDamaged is not in the chain of %v", err)
	}
	_, _, err = h.Blob(h.t.Context(), oci.Caller{}, other, d)
	expectCode(h.t, oci.CodeBlobUnknown, err)
}

func TestADamagedBlobThatWasPushedIsKeptAside(t *testing.T) {
	h := newHouse(t)
	content := random(t, small)
	d := h.pushBlob(app, content)
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.pull(app, d, 0); !errors.Is(err, registry.ErrDamaged) {
		t.Fatal(err)
	}
	aside, err := os.ReadFile(filepath.Join(h.dir, "storage", "damaged", d.Encoded()))
	if err != nil || len(aside) != len(content) || bytes.Equal(aside, content) {
		t.Errorf("aside lie %d bytes, %v", len(aside), err)
	}
}

func TestOfTwoWhoMeetTheSameDamageTheSecondLeavesWhatWasMendedMeanwhile(t *testing.T) {
	h := newHouse(t)
	content := random(t, small)
	d := h.pushBlob(app, content)
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	row, err := h.db.Blobs.Held(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	first, second := h.FindDamageForTest(t.Context(), row), h.FindDamageForTest(t.Context(), row)
	if first == nil || second == nil {
		t.Fatal("the damage was not found")
	}
	if err := first(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.pushBlob(app, content)
	if err := second(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.pulls(app, content)
	if n, err := h.db.Damaged.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d blobs are called damaged, %v", n, err)
	}
}

func TestABlobIsReadBackOnceAnHourAndWhenItsFileWasTouched(t *testing.T) {
	h := newHouse(t)
	content := random(t, large)
	d := h.pushBlob(app, content)
	h.rest(d)
	w := watch(h)
	want := func(what string, openings int64) {
		t.Helper()
		if got := w.openings(func() { h.pulls(app, content) }); got != openings {
			t.Errorf("%s it is opened %d times, want %d", what, got, openings)
		}
	}
	want("at first", 2)
	want("right after", 1)
	h.wait(59 * time.Minute)
	want("within the hour", 1)
	h.wait(2 * time.Minute)
	want("after an hour", 2)
	if err := os.Chmod(h.file(d), 0o600); err != nil {
		t.Fatal(err)
	}
	h.rest(d)
	want("touched", 2)
}

func TestStorageThatCannotBeReadIsNoDamage(t *testing.T) {
	for _, size := range []int{small, large} {
		h := newHouse(t)
		content := random(t, size)
		d := h.pushBlob(app, content)
		w := watch(h)
		failure := error(syscall.EIO)
		w.fails.Store(&failure)
		if _, err := h.pull(app, d, 0); !errors.Is(err, syscall.EIO) || errors.Is(err, registry.ErrDamaged) {
			t.Errorf("the error is %v", err)
		}
		w.fails.Store(nil)
		h.pulls(app, content)
	}
}

func TestABlobThatChangesWhileItIsSentDoesNotEnd(t *testing.T) {
	h := newHouse(t)
	content := random(t, large)
	d := h.pushBlob(app, content)
	h.rest(d)
	h.pulls(app, content)
	opened, _, err := h.Blob(t.Context(), oci.Caller{}, app, d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	if _, err := io.ReadAll(opened); err != nil {
		t.Fatal(err)
	}
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	if err := opened.Verified(t.Context()); err == nil {
		t.Error("it ended as if nothing had been changed")
	}
}

func TestABlobThatChangesWhileItIsReadIsLookedAtAgain(t *testing.T) {
	for _, test := range []struct {
		what    string
		change  func(path string) error
		changes int
		want    oci.Code // none when it is pulled
	}{
		{what: "set aside for somebody else", change: os.Remove, changes: 1, want: oci.CodeUnknown},
		{what: "touched", change: func(path string) error { return os.Chmod(path, 0o600) }, changes: 1},
		{what: "touched each time", change: func(path string) error { return os.Chmod(path, 0o600) }, changes: 2, want: oci.CodeUnavailable},
	} {
		t.Run(test.what, func(t *testing.T) {
			h := newHouse(t)
			content := random(t, small)
			d := h.pushBlob(app, content)
			path := h.file(d)
			h.rest(d)
			w := watch(h)
			var change func([]byte)
			change = func(read []byte) {
				if len(read) > 0 {
					test.changes--
					if err := test.change(path); err != nil {
						t.Error(err)
					}
				}
				if test.changes > 0 {
					w.once.Store(&change)
				}
			}
			w.once.Store(&change)
			got, err := h.pull(app, d, 0)
			if oci.CodeOf(err) != test.want || (err == nil) != bytes.Equal(got, content) {
				t.Errorf("pulled %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestADamagedBlobOfACacheIsForgotten(t *testing.T) {
	h := newHouse(t)
	cached := oci.Repository("hub/app")
	if err := h.db.Projects.Create(t.Context(), metadata.Project{Name: "hub", Kind: metadata.Cache}); err != nil {
		t.Fatal(err)
	}
	content := random(t, small)
	d := h.pushBlob(cached, content)
	path := h.file(d)
	if err := flip(path); err != nil {
		t.Fatal(err)
	}
	_, _, err := h.Blob(t.Context(), oci.Caller{}, cached, d)
	expectCode(t, oci.CodeUnknown, err)
	_, _, err = h.Blob(t.Context(), oci.Caller{}, cached, d)
	expectCode(t, oci.CodeBlobUnknown, err)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its file is left: %v", err)
	}
	if n, err := h.db.Damaged.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d blobs are named, %v", n, err)
	}
}

func TestStorageThatIsElsewhereGivesNoBlobUp(t *testing.T) {
	h := newHouse(t)
	if err := h.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	content := random(t, small)
	d := h.pushBlob("demo/app", content)
	blobs := filepath.Join(h.dir, "storage", "blobs")
	if err := errors.Join(os.Rename(blobs, blobs+".mounted"), os.Mkdir(blobs, 0o750)); err != nil {
		t.Fatal(err)
	}
	_, _, err := h.StatBlob(t.Context(), oci.Caller{}, "demo/app", d)
	expectCode(t, oci.CodeBlobUnknown, err)
	if _, err := h.pull("demo/app", d, 0); !errors.Is(err, registry.ErrDamaged) {
		t.Errorf("a pull got %v", err)
	}
	if err := errors.Join(os.Remove(blobs), os.Rename(blobs+".mounted", blobs)); err != nil {
		t.Fatal(err)
	}
	h.pulls("demo/app", content)
}
