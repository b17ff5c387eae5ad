package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

const (
	// windowPatience bounds how long a transfer that filled the disk waits for memory
	// that other windows have.
	windowPatience = time.Minute
	// pacePause is how long a transfer waits with the next copyBuffer of bytes for its
	// foremost reader: clients that take less than 1 MiB a second are left behind.
	pacePause = copyBuffer * time.Second / (1 << 20)
	// someRoom is how much room is asked for when a blob's size is not known, in bytes.
	someRoom = 64 << 20
)

// Room makes room on a full disk.
type Room interface {
	// MakeRoom evicts cached images until as many bytes are free, and tells whether it
	// is worth writing again. It returns within bounds of its own.
	MakeRoom(ctx context.Context, bytes int64) bool
	// Free tells how many bytes are free, where that is known.
	Free() (bytes int64, known bool)
}

// passing is what a fill goes on with once the disk takes no more of it: readers find
// the latest bytes in memory, and nothing is kept. What was spooled before stays
// readable until they have gone.
type passing struct {
	spooled int64 // bytes that the spool has, from the blob's beginning
	window  *window
	outline *outline
	moved   chan struct{} // has an element when a reader has moved
}

// errAbandoned ends a fill that passes through and that nobody reads any more.
var errAbandoned = errors.New("its last reader has gone, and it cannot be kept")

// errGone says that a reader has to fetch bytes anew.
var errGone = errors.New("the bytes have passed")

// full tells whether an error means that a disk, or somebody's share of it, is full.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// retried runs write, and again when the disk was full and room for as many bytes could
// be made.
func (f *Fills) retried(ctx context.Context, bytes func() int64, write func() error) error {
	err := write()
	for full(err) && f.room != nil && ctx.Err() == nil && f.room.MakeRoom(ctx, bytes()) {
		err = write()
	}
	return err
}

// fits tells whether there is, or can be made, room for as many bytes, as far as that is
// known beforehand.
func (f *Fills) fits(ctx context.Context, bytes int64) bool {
	if f.room == nil {
		return true
	}
	free, known := f.room.Free()
	return !known || free >= bytes || f.room.MakeRoom(ctx, bytes)
}

// rowRoom is how much room is asked for when the database cannot write, in bytes.
func rowRoom() int64 { return 1 << 20 }

// missing is how many bytes are still to come.
func (f *fill) missing() int64 {
	if f.size < 0 {
		return someRoom
	}
	return max(f.size-f.writtenBytes(), 1)
}

// passes tells whether the fill keeps nothing.
func (f *fill) passes() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passing != nil
}

// pass makes the fill go on without the disk. Those who read it notice a pause.
func (f *fill) pass(ctx context.Context) error {
	at := f.writtenBytes()
	memory := f.fills.window
	if f.size >= 0 {
		memory = min(memory, f.size-at)
	}
	if err := f.takeMemory(ctx, memory, at > 0); err != nil {
		return err
	}
	next := &passing{
		spooled: at, window: newWindow(memory, at), outline: newOutline(f.digest.Algorithm()),
		moved: make(chan struct{}, 1),
	}
	f.update(func() { f.passing = next })
	f.fills.log.Warn("the disk is full and nothing can be evicted for it: a blob passes through and is not kept",
		"digest", f.digest, "upstream", f.source.cache.Project, "spooled", at, "size", f.size)
	if f.spool == nil {
		return nil
	}
	if err := f.spool.Cancel(ctx); err != nil {
		f.fills.log.Warn("dropping a spool", "digest", f.digest, "error", err)
	}
	return f.outlineSpooled(ctx, next)
}

// outlineSpooled hashes what was spooled: the spool's own hash is not to be had.
func (f *fill) outlineSpooled(ctx context.Context, next *passing) error {
	buffer := make([]byte, copyBuffer)
	for at := int64(0); at < next.spooled && ctx.Err() == nil; {
		n, err := f.spool.ReadAt(buffer[:min(copyBuffer, next.spooled-at)], at)
		if n == 0 {
			return fmt.Errorf("%w: reading it again: %w", errSpool, err)
		}
		at += int64(n)
		f.outlined(next, next.outline.hash(buffer[:n]))
	}
	return context.Cause(ctx)
}

func (f *fill) outlined(to *passing, blocks []blockSum) {
	f.mu.Lock()
	defer f.mu.Unlock()
	to.outline.blocks = append(to.outline.blocks, blocks...)
}

// takeMemory waits for memory only where readers would be cut off without it.
func (f *fill) takeMemory(ctx context.Context, bytes int64, wait bool) error {
	got := f.fills.memory.take(bytes)
	if !got && wait {
		waiting, cancel := context.WithTimeout(ctx, windowPatience)
		defer cancel()
		got = f.fills.memory.await(waiting, bytes) == nil
	}
	if got {
		return nil
	}
	return &oci.Error{
		Code:       oci.CodeUnavailable,
		Message:    fmt.Sprintf("blob %s is not in the cache, this registry's disk is full, and as many transfers as its memory has room for pass through already: try again in a moment", f.digest),
		RetryAfter: retrySoon,
	}
}

// passOn takes in further bytes of a fill that passes through.
func (f *fill) passOn(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		if f.fills.abandon(f) {
			return errAbandoned
		}
		piece := p[:min(len(p), len(f.passing.window.ring))]
		p = p[len(piece):]
		f.await(ctx, len(piece))
		f.outlined(f.passing, f.passing.outline.hash(piece))
		f.update(func() {
			f.passing.window.write(piece)
			f.written += int64(len(piece))
		})
	}
	return nil
}

// await gives the foremost reader a little time before bytes that it has not read
// leave the window: it would have to fetch them from the upstream again. Nobody is
// held up by more than that, and nobody at all while a reader waits for what is to come.
func (f *fill) await(ctx context.Context, next int) {
	patience := time.NewTimer(f.fills.pace)
	defer patience.Stop()
	for f.wouldLose(next) {
		select {
		case <-f.passing.moved:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// wouldLose tells whether the next bytes would drive the foremost reader that has not
// fallen behind already out of the window.
func (f *fill) wouldLose(next int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	foremost := int64(-1)
	if f.awaited {
		foremost = 0
	}
	for _, at := range f.readers {
		foremost = max(foremost, at)
	}
	return foremost >= 0 && foremost < f.passing.window.startAfter(next)
}

// at notes how far a reader is, unless it has fallen behind. The lock is held.
func (f *fill) at(r *reader) {
	if f.lacks(r) {
		delete(f.readers, r)
	} else {
		f.readers[r] = r.offset
	}
	f.passing.readerMoved()
}

// arrived is called when who began the fill reads it, or has gone.
func (f *fill) arrived() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awaited = false
	f.passing.readerMoved()
}

// leave forgets a reader that reads no further.
func (f *fill) leave(r *reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readers, r)
	f.passing.readerMoved()
}

// lacks tells whether what the reader wants has come and is neither spooled nor in the
// window. Who has fallen behind comes back only where the window will not leave it behind
// again at once. The lock is held.
func (f *fill) lacks(r *reader) bool {
	if f.passing == nil || r.offset < f.passing.spooled {
		return false
	}
	start := f.passing.window.start
	if r.detour != nil && !f.verified {
		start += int64(len(f.passing.window.ring)) / 2
	}
	return r.offset < start
}

func (p *passing) readerMoved() {
	if p == nil {
		return
	}
	select {
	case p.moved <- struct{}{}:
	default: // a word of it is there already
	}
}

// readAt reads bytes that have come at the reader's offset; errGone, when they are neither spooled nor in
// the window any more.
func (f *fill) readAt(p []byte, r *reader) (int, error) {
	f.mu.Lock()
	passing := f.passing
	switch {
	case passing == nil:
	case f.lacks(r):
		f.mu.Unlock()
		return 0, errGone
	case r.offset >= passing.spooled:
		defer f.mu.Unlock()
		return passing.window.read(p, r.offset), nil
	default:
		p = p[:min(int64(len(p)), passing.spooled-r.offset)]
	}
	f.mu.Unlock() // the spool needs no lock, and may be slow
	return f.spool.ReadAt(p, r.offset)
}
