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

// errOther says that the store beneath has other bytes by now.
var errOther = errors.New("the stored bytes were changed since the blob was opened")

// reader reads a blob that was not kept when it was opened: along with the fetch that
// brings it in, or from the store beneath. All of it has one identity.
type reader struct {
	store    *Store
	ctx      context.Context // of Open
	key      string
	digest   digest.Digest // "" when the caller does not know it
	size     int64
	identity string            // as the store beneath told it at first; "" when it did not
	offset   int64             // of the next Read
	fetch    *fetch            // nil when it is not followed
	beneath  io.ReadSeekCloser // nil when it was not needed yet
	asked    bool              // whether a fetch was asked for
	closed   bool
}

var _ blob.Opened = (*reader)(nil)

// Identity is that of the bytes in the store beneath.
func (r *reader) Identity() (string, error) {
	if r.beneath != nil {
		return blob.IdentityOf(r.beneath)
	}
	return r.identity, nil
}

// Near is false, as for all that is not kept here.
func (r *reader) Near() bool { return false }

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
		r.fetch = r.store.begin(r)
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
		if err := r.openBeneath(); err != nil {
			return 0, err
		}
	}
	if _, err := r.beneath.Seek(r.offset, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := r.beneath.Read(p)
	r.offset += int64(n)
	return n, err
}

// openBeneath opens the blob in the store beneath, where it has to be the one that was
// read so far.
func (r *reader) openBeneath() error {
	opened, err := r.store.Store.Open(r.ctx, r.key)
	if err != nil {
		return err
	}
	if err := isStill(opened, r.identity); err != nil {
		return errors.Join(fmt.Errorf("opening blob %.80s: %w", r.key, err), opened.Close())
	}
	r.beneath = opened
	return nil
}

// isStill is errOther when what was opened has another identity than before, where both
// are known.
func isStill(opened io.ReadSeekCloser, before string) error {
	now, err := blob.IdentityOf(opened)
	if err == nil && differ(now, before) {
		err = errOther
	}
	return err
}

func differ(a, b string) bool { return a != b && a != "" && b != "" }

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
