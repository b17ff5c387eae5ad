package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// reader reads a blob that was not kept when it was opened: along with the fetch that
// brings it in, or from the store beneath.
type reader struct {
	store   *Store
	ctx     context.Context // of Open
	key     string
	digest  digest.Digest // "" when the caller does not know it
	size    int64
	offset  int64             // of the next Read
	fetch   *fetch            // nil when it is not followed
	beneath io.ReadSeekCloser // nil when it was not needed yet
	asked   bool              // whether a fetch was asked for
	closed  bool
}

// Seek costs nothing by itself.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, fmt.Errorf("seeking in a blob: whence is %d: %w", whence, fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seeking in a blob to %d: %w", offset, fs.ErrInvalid)
	}
	r.offset = offset
	return offset, nil
}

// Read begins a fetch when the first byte is asked for first: who asks for another
// range does not want the whole.
func (r *reader) Read(p []byte) (int, error) {
	if r.closed {
		return 0, fmt.Errorf("reading a blob: %w", fs.ErrClosed)
	}
	if r.offset >= r.size {
		return 0, io.EOF
	}
	if r.fetch == nil && !r.asked && r.offset == 0 {
		r.fetch = r.store.begin(r.key, r.digest, r.size)
	}
	r.asked = true
	if r.fetch != nil {
		n, err := r.fetch.readAt(r.ctx, p, r.offset)
		if n > 0 || err == nil {
			r.offset += int64(n)
			return n, nil
		}
		if !r.goOn(err) {
			return 0, fmt.Errorf("reading blob %.80s from byte %d of %d: %w", r.key, r.offset, r.size, err)
		}
	}
	return r.readBeneath(p)
}

// goOn leaves the fetch after an error, and says whether the store beneath may do
// better. One that was found to be damaged is not read whole from anywhere.
func (r *reader) goOn(err error) bool {
	_, damaged := errors.AsType[*blob.MismatchError](err)
	if damaged || r.ctx.Err() != nil {
		return false
	}
	r.fetch.leave()
	r.fetch = nil
	return true
}

func (r *reader) readBeneath(p []byte) (int, error) {
	if r.beneath == nil {
		opened, err := r.store.Store.Open(r.ctx, r.key)
		if err != nil {
			return 0, err
		}
		r.beneath = opened
	}
	if _, err := r.beneath.Seek(r.offset, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := r.beneath.Read(p)
	r.offset += int64(n)
	return n, err
}

// Close leaves the fetch.
func (r *reader) Close() error {
	if r.closed {
		return fmt.Errorf("closing a blob: %w", fs.ErrClosed)
	}
	r.closed = true
	if r.fetch != nil {
		r.fetch.leave()
		r.fetch = nil
	}
	if r.beneath != nil {
		return r.beneath.Close()
	}
	return nil
}
