package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// rowRoom is how much room a push finds or has made for what the database writes, in
// bytes.
const rowRoom = 1 << 20

// Room is that of the disk which holds the blobs.
type Room interface {
	// MakeRoom evicts cached images until as many bytes are free, and tells whether it
	// is worth writing again. It returns within bounds of its own.
	MakeRoom(ctx context.Context, bytes int64) bool
	// Free tells how many bytes are free, where that is known.
	Free() (bytes int64, known bool)
}

// noRoom is the room of a registry without any to be made.
type noRoom struct{}

func (noRoom) MakeRoom(context.Context, int64) bool { return false }
func (noRoom) Free() (int64, bool)                  { return 0, false }

// full tells whether an error means that a disk, or somebody's share of it, is full.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// roomForRows makes room where the database would find none. It is called before
// anything is locked that an eviction may wait for.
func (r *Registry) roomForRows(ctx context.Context) {
	if free, known := r.room.Free(); known && free < rowRoom {
		r.room.MakeRoom(ctx, rowRoom)
	}
}

// Discard removes the bytes of a blob that were committed under a key and that metadata
// did not come to know of: they take room that may be what was missing.
func (r *Registry) Discard(ctx context.Context, d digest.Digest, key string) error {
	defer r.guard.Removing(d)()
	held, err := r.db.Blobs.Held(ctx, d)
	if err == nil && held.Key == key {
		return nil // somebody else has stored the same
	}
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return err
	}
	return r.blobs.Delete(ctx, key)
}

// fullError is that of a body which the disk did not take whole.
type fullError struct {
	needed int64 // bytes
	least  bool  // or more: the client has not told how many come
	error
}

func (e *fullError) Unwrap() error { return e.error }

// roomy writes to an upload, and makes room for it.
type roomy struct {
	blob.Upload
	ctx  context.Context // io.Writer has no room for it; it is the request's
	room Room
	left func() (bytes int64, known bool) // that come after what is being written
}

func (w *roomy) Write(p []byte) (written int, err error) {
	for {
		n, err := w.Upload.Write(p[written:])
		written += n
		if !full(err) {
			return written, err
		}
		left, known := w.left()
		needed := left + int64(len(p)-written)
		if !w.room.MakeRoom(w.ctx, needed) {
			return written, &fullError{needed: needed, least: !known, error: err}
		}
	}
}

// remaining asks a body how much of it is still to be read.
func remaining(body io.Reader) (int64, bool) {
	if sized, ok := body.(interface{ Left() int64 }); ok {
		return sized.Left(), true
	}
	return 0, false
}

// fullText tells of a full disk, on one line.
func (r *Registry) fullText(err error) string {
	text := "this registry's disk is full"
	if free, known := r.room.Free(); known {
		text += fmt.Sprintf(": %s are free", mebibytes(free))
	}
	if lacks, ok := errors.AsType[*fullError](err); ok {
		atLeast := ""
		if lacks.least {
			atLeast = "at least "
		}
		text += fmt.Sprintf(", and this push needs %s%s more", atLeast, mebibytes(lacks.needed))
	}
	return text + "; try again when its operator has made room"
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
