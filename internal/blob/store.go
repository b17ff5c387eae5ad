// Package blob keeps bytes by key. A driver is a folder of files (Files), or an
// object store; both pass the suite in blobtest.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// ErrNotFound is returned when no blob or upload is kept under the key or state given.
var ErrNotFound = errors.New("not found in blob storage")

// ErrUnavailable is in the chain when a store did not do what was asked, and a later
// try may succeed: it cannot be reached, is overloaded, or refuses for now. It says
// nothing about what is kept.
var ErrUnavailable = errors.New("blob storage is not available")

// MismatchError is returned by Verify and Commit when the bytes written do not
// have the digest that was claimed for them.
type MismatchError struct{ Want, Got digest.Digest }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("content has digest %s, not %s", e.Got, e.Want)
}

// Store is one place where blobs are kept.
type Store interface {
	// Create begins an upload that is hashed with alg as it comes.
	Create(ctx context.Context, alg digest.Algorithm) (Upload, error)
	// Resume continues an upload from what Save returned, dropping bytes written
	// since; ErrNotFound when its bytes are gone.
	Resume(ctx context.Context, state []byte) (Upload, error)
	// Spool begins a transfer that others may read while it grows. It cannot be
	// resumed after a restart.
	Spool(ctx context.Context, alg digest.Algorithm) (Spool, error)
	// Stat tells a blob's size in bytes.
	Stat(ctx context.Context, key string) (int64, error)
	// Open opens a blob for reading. The caller closes it.
	Open(ctx context.Context, key string) (io.ReadSeekCloser, error)
	// Delete removes a blob. A key that is not there is not an error.
	Delete(ctx context.Context, key string) error
	// Walk calls fn for every blob and stops at the first error, its own or fn's.
	Walk(ctx context.Context, fn func(Entry) error) error
}

// Entry is one blob met by Walk.
type Entry struct {
	Key  string
	Size int64 // bytes
	// Modified is no later than the commit, but may be as early as the beginning of the
	// upload, by the store's own clock. A blob that metadata does not know is a leftover
	// only when it is older than any upload that may still be committed: between a
	// commit and the moment when metadata knows its key, nothing tells the two apart.
	Modified time.Time
}

// Upload is a blob being written by one goroutine at a time.
type Upload interface {
	io.Writer
	// Size is the number of bytes written so far.
	Size() int64
	// Save makes what was written durable and returns the state by which Resume
	// finds it again. Nothing may be written after it through this value.
	Save(ctx context.Context) (state []byte, err error)
	// Commit verifies the bytes, makes them durable, and returns the key by which
	// Open finds them. A *MismatchError leaves nothing behind. A driver may give one
	// digest several keys: what was kept under another one stays until it is deleted.
	Commit(ctx context.Context, want digest.Digest) (key string, err error)
	// Cancel drops everything written. It may follow any other call and then does nothing.
	Cancel(ctx context.Context) error
}

// Spool is an Upload that can be read while it is written, by any number of
// readers, until the last of them and the writer have closed it. Reads go on
// working after Commit and after Cancel.
type Spool interface {
	io.Writer
	// Verify compares what was written with the digest; a *MismatchError says no.
	Verify(want digest.Digest) error
	// Commit is Upload.Commit; Verify has been called before.
	Commit(ctx context.Context, want digest.Digest) (key string, err error)
	Cancel(ctx context.Context) error
	// ReadAt reads bytes that have been written already.
	io.ReaderAt
	// Close releases the spool's file. It is called once, after the last read.
	Close() error
}
