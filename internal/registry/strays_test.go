package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/oci"
)

func TestAStartRemovesWhatNoUploadLeadsTo(t *testing.T) {
	h := newHouse(t)
	id := h.start(digest.SHA256)
	h.append(id, []byte("kept "))
	h.start(digest.SHA256) // has no bytes yet
	files, err := blob.OpenFiles(filepath.Join(h.dir, "storage"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := files.Create(t.Context(), digest.SHA256); err != nil { // as by a request that a kill ends
		t.Fatal(err)
	}

	h.restart()
	if removed, err := h.RemoveStrayUploads(t.Context()); err != nil || removed != 1 {
		t.Errorf("removed %d uploads, error %v, want 1", removed, err)
	}
	if left := h.leftovers(); left != 1 {
		t.Errorf("%d files of uploads are left, want that of the saved one", left)
	}
	if err := h.FinishUpload(t.Context(), app, id, digest.FromString("kept bytes"), nil, bytes.NewReader([]byte("bytes"))); err != nil {
		t.Error(err)
	}
}

// sweeping is object storage below a store in front of it: it hears what is to be swept.
type sweeping struct {
	blob.Store
	saved  [][]byte
	before time.Time
}

func (s *sweeping) SweepStrays(_ context.Context, saved [][]byte, before time.Time) (int, error) {
	s.saved, s.before = saved, before
	return 7, nil
}

type front struct{ blob.Store }

func (f front) Beneath() blob.Store { return f.Store }

func TestASweepSparesWhatSessionsLeadTo(t *testing.T) {
	h := newHouse(t)
	files, err := blob.OpenFiles(filepath.Join(h.dir, "storage"))
	if err != nil {
		t.Fatal(err)
	}
	storage := &sweeping{Store: files}
	h.over(front{storage})
	h.append(h.start(digest.SHA256), []byte("kept"))
	h.start(digest.SHA256) // has no bytes yet
	if removed, err := h.SweepStrays(t.Context(), time.Hour); err != nil || removed != 7 {
		t.Errorf("the sweep tells %d, %v; want what storage tells", removed, err)
	}
	if len(storage.saved) != 1 || !storage.before.Equal(h.clock().Add(-time.Hour)) {
		t.Errorf("storage was told %d states and %s, want 1 and an hour ago", len(storage.saved), storage.before)
	}
	if _, err := files.Resume(t.Context(), storage.saved[0]); err != nil {
		t.Errorf("the state that was spared: %v", err)
	}
	h.over(files)
	if removed, err := h.SweepStrays(t.Context(), time.Hour); err != nil || removed != 0 {
		t.Errorf("a driver that has nothing to sweep: %d, %v", removed, err)
	}
}

// fullStore has room for the first write of each upload and for no other.
type fullStore struct{ blob.Store }

func (s fullStore) Create(ctx context.Context, alg digest.Algorithm) (blob.Upload, error) {
	upload, err := s.Store.Create(ctx, alg)
	return &fullUpload{Upload: upload}, err
}

type fullUpload struct {
	blob.Upload
	written bool
}

func (u *fullUpload) Write(p []byte) (int, error) {
	if u.written {
		return 0, syscall.ENOSPC
	}
	u.written = true
	return u.Upload.Write(p)
}

// room makes room as often as it has some.
type room struct {
	makes int
	asked []int64
}

func (r *room) MakeRoom(_ context.Context, bytes int64) bool {
	r.asked = append(r.asked, bytes)
	r.makes--
	return r.makes >= 0
}

func (*room) Free() (int64, bool) { return 3 << 20, true }

// crampedStore has room for some bytes of each upload, and for as many again with each
// time that room was made.
type crampedStore struct {
	blob.Store
	room *room
}

func (s crampedStore) Create(ctx context.Context, alg digest.Algorithm) (blob.Upload, error) {
	upload, err := s.Store.Create(ctx, alg)
	return &crampedUpload{Upload: upload, room: s.room}, err
}

type crampedUpload struct {
	blob.Upload
	room *room
}

func (u *crampedUpload) Write(p []byte) (int, error) {
	most := 100_000 * int64(1+len(u.room.asked))
	n, err := u.Upload.Write(p[:min(int64(len(p)), most-u.Size())])
	if err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

// sized is a body that tells how much of it is left.
type sized struct{ *bytes.Reader }

func (s sized) Left() int64 { return int64(s.Len()) }

func TestAPushGoesOnWithTheRoomThatIsMadeForIt(t *testing.T) {
	h := newHouse(t)
	files, err := blob.OpenFiles(filepath.Join(h.dir, "storage"))
	if err != nil {
		t.Fatal(err)
	}
	made := &room{makes: 2}
	h.room = made
	h.over(crampedStore{files, made})
	content := random(t, 300_000)
	if err := h.PutBlob(t.Context(), app, digest.FromBytes(content), sized{bytes.NewReader(content)}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]int64{200_000, 100_000}, made.asked); diff != "" {
		t.Errorf("the room that was asked for (-want +got):\n%s", diff)
	}
}

func TestAPushThatFillsTheDiskLeavesNothingThere(t *testing.T) {
	h := newHouse(t)
	files, err := blob.OpenFiles(filepath.Join(h.dir, "storage"))
	if err != nil {
		t.Fatal(err)
	}
	h.room = &room{}
	h.over(fullStore{files})
	content := random(t, 1<<20)
	d := digest.FromBytes(content)
	body := func() io.Reader { return struct{ io.Reader }{bytes.NewReader(content)} }
	tests := []struct {
		name string
		push func() error
	}{
		{"a blob in one request", func() error { return h.PutBlob(t.Context(), app, d, body()) }},
		{"an upload in one request", func() error {
			return h.FinishUpload(t.Context(), app, h.start(digest.SHA256), d, nil, body())
		}},
		{"the first chunk of an upload", func() error {
			_, err := h.AppendUpload(t.Context(), app, h.start(digest.SHA256), nil, body())
			return err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.push()
			if oci.CodeOf(err) != oci.CodeInsufficientSpace || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("error is %v, want INSUFFICIENT_STORAGE", err)
			}
			want := "this registry's disk is full: 3.0 MiB are free, and this push needs at least 0.1 MiB more; try again when its operator has made room"
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error is %v, want %q", err, want)
			}
			if left := h.leftovers(); left != 0 {
				t.Errorf("%d files of uploads are left", left)
			}
		})
	}
}
