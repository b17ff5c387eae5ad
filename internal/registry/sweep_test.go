package registry_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/oci"
)

func TestAnUploadIsRemovedWhenItIsADayOld(t *testing.T) {
	h := newHouse(t)
	untouched, touched, empty := h.start(digest.SHA256), h.start(digest.SHA256), h.start(digest.SHA256)
	h.append(untouched, []byte("a"))
	h.append(touched, []byte("a"))
	h.wait(23 * time.Hour)
	h.append(touched, []byte("b"))
	h.wait(2 * time.Hour)
	dropped, err := h.SweepUploads(t.Context(), 24*time.Hour)
	if dropped != 2 || err != nil {
		t.Errorf("dropped %d uploads, %v, want 2", dropped, err)
	}
	for _, id := range []string{untouched, empty} {
		_, err := h.UploadStatus(t.Context(), app, id)
		expectCode(t, oci.CodeBlobUploadUnknown, err)
	}
	if h.offset(touched) != 2 || h.leftovers() != 1 {
		t.Errorf("offset %d and %d files, want the touched upload to stay", h.offset(touched), h.leftovers())
	}
}

// resuming is storage that calls first before each upload that is resumed, and fails if
// that does.
type resuming struct {
	blob.Store
	first func() error
}

func (r *resuming) Resume(ctx context.Context, state []byte) (blob.Upload, error) {
	if err := r.first(); err != nil {
		return nil, err
	}
	return r.Store.Resume(ctx, state)
}

// twoOld is two uploads that were left for long, and a registry that drops the one named
// first before the other.
func (h *house) twoOld(first func() error) (older, newer string) {
	h.t.Helper()
	older, newer = h.start(digest.SHA256), h.start(digest.SHA256)
	h.append(older, []byte("a"))
	h.wait(time.Minute)
	h.append(newer, []byte("b"))
	h.wait(25 * time.Hour)
	h.over(&resuming{h.files, first})
	return older, newer
}

func TestAnUploadThatGoesOnWhileOthersAreSweptStays(t *testing.T) {
	h := newHouse(t)
	var newer string
	resumed := 0
	_, newer = h.twoOld(func() error {
		if resumed++; resumed == 1 {
			h.append(newer, []byte("more"))
		}
		return nil
	})
	if dropped, err := h.SweepUploads(t.Context(), 24*time.Hour); dropped != 1 || err != nil {
		t.Errorf("dropped %d uploads, %v, want 1", dropped, err)
	}
	if got := h.offset(newer); got != 5 {
		t.Errorf("the upload that went on is at %d", got)
	}
}

func TestAnUploadThatCannotBeDroppedDoesNotKeepOthers(t *testing.T) {
	h := newHouse(t)
	resumed := 0
	older, newer := h.twoOld(func() error {
		if resumed++; resumed == 1 {
			return syscall.EIO
		}
		return nil
	})
	dropped, err := h.SweepUploads(t.Context(), 24*time.Hour)
	if dropped != 1 || !errors.Is(err, syscall.EIO) {
		t.Errorf("dropped %d uploads, %v, want 1 and %v", dropped, err, syscall.EIO)
	}
	_, err = h.UploadStatus(t.Context(), app, newer)
	expectCode(t, oci.CodeBlobUploadUnknown, err)
	if got := h.offset(older); got != 1 {
		t.Errorf("the upload that could not be dropped is at %d", got)
	}
}
