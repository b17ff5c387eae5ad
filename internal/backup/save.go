package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// tries is how often a blob is begun whose transfer breaks off.
	tries = 3
	// pause is waited before the second, and longer before the next.
	pause = 500 * time.Millisecond
)

// Source gives the bytes of blobs. Its error has blob.ErrNotFound in its chain when a
// blob is not there.
type Source interface {
	Open(ctx context.Context, b metadata.Blob) (io.ReadCloser, error)
}

// Progress is told how many blobs there are, and returns what is called after each.
type Progress func(title string, total int) (done func())

// Report is what came of copying blobs.
type Report struct {
	Copied int   // blobs
	Bytes  int64 // of those copied
	Held   int   // were there already
	Lost   []Loss
}

// Loss is a blob that could not be copied, since it is not there or not whole.
type Loss struct {
	metadata.Blob
	Why string
}

// collector makes a report out of what goes on at once.
type collector struct {
	mu     sync.Mutex
	report Report
}

func (c *collector) add(fn func(*Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn(&c.report)
}

// SaveBlobs copies the blobs of a dump into an archive, but for those that it holds.
func SaveBlobs(ctx context.Context, d *Dump, from Source, to Archive, progress Progress) (Report, error) {
	var c collector
	done := progress("copying blobs", d.Blobs())
	err := d.each(ctx, func(ctx context.Context, b metadata.Blob) error {
		defer done()
		if err := blob.CheckDigest(b.Digest); err != nil {
			return err
		}
		held, err := to.Holds(ctx, b.Digest, b.Size)
		if err != nil {
			return fmt.Errorf("looking for blob %s in the archive: %w", b.Digest, err)
		}
		if held {
			c.add(func(r *Report) { r.Held++ })
			return nil
		}
		return c.copy(ctx, b, from, func(r io.Reader) error { return to.Put(ctx, b.Digest, b.Size, r) })
	})
	return c.report, err
}

// copy hands a blob's verified bytes to put, and reports what came of it. An error is
// one that other blobs would meet too.
func (c *collector) copy(ctx context.Context, b metadata.Blob, from Source, put func(io.Reader) error) error {
	var err error
	for try := range tries {
		if err = sleep.For(ctx, time.Duration(try)*pause); err != nil {
			break
		}
		if err = copyOnce(ctx, b, from, put); err == nil {
			c.add(func(r *Report) { r.Copied++; r.Bytes += b.Size })
			return nil
		}
		if lost(err) {
			break
		}
	}
	if lost(err) || unreadable(err) {
		c.lose(b, err)
		return nil
	}
	return fmt.Errorf("copying blob %s: %w", b.Digest, err)
}

func copyOnce(ctx context.Context, b metadata.Blob, from Source, put func(io.Reader) error) error {
	r, err := from.Open(ctx, b)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return put(verify(r, b.Digest, b.Size))
}

func (c *collector) lose(b metadata.Blob, err error) {
	c.add(func(r *Report) { r.Lost = append(r.Lost, Loss{Blob: b, Why: err.Error()}) })
}

// lost tells whether an error means that a blob is not there or not whole.
func lost(err error) bool {
	_, mismatch := errors.AsType[*blob.MismatchError](err)
	return mismatch || errors.Is(err, blob.ErrNotFound)
}

// unreadable tells whether an error is of this one blob's bytes: a disk that fails
// there, or a server that breaks off because its disk does.
func unreadable(err error) bool {
	_, reading := errors.AsType[*readError](err)
	return reading && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EIO))
}

// stored is a Source in a blob store.
type stored struct{ blobs blob.Store }

// FromStore is the Source of the blobs of a store.
func FromStore(blobs blob.Store) Source { return stored{blobs} }

func (s stored) Open(ctx context.Context, b metadata.Blob) (io.ReadCloser, error) {
	return s.blobs.Open(ctx, b.Key)
}
