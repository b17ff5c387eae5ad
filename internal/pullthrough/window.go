package pullthrough

import (
	"context"
	"sync"
)

const (
	// windowSize is how much of a blob that cannot be kept is held in memory while it
	// passes through, in bytes; smaller blobs are held whole.
	windowSize = 8 << 20
	// windowMemory bounds what all windows take, in bytes.
	windowMemory = 256 << 20
)

// window holds the latest bytes of a transfer in a ring. Its fill's lock guards it.
type window struct {
	ring       []byte
	start, end int64 // offsets in the blob of what is held
}

// newWindow makes one whose first byte will be the blob's at that offset.
func newWindow(size, offset int64) *window {
	return &window{ring: make([]byte, size), start: offset, end: offset}
}

// startAfter is where the window will begin once n more bytes are in it.
func (w *window) startAfter(n int) int64 {
	return max(w.start, w.end+int64(n)-int64(len(w.ring)))
}

// write takes in at most as many bytes as the ring has; the oldest go.
func (w *window) write(p []byte) {
	w.start = w.startAfter(len(p))
	for len(p) > 0 {
		n := copy(w.ring[w.end%int64(len(w.ring)):], p)
		p = p[n:]
		w.end += int64(n)
	}
}

// read copies bytes from an offset that is in the window.
func (w *window) read(p []byte, offset int64) (n int) {
	p = p[:min(int64(len(p)), w.end-offset)]
	for n < len(p) {
		n += copy(p[n:], w.ring[(offset+int64(n))%int64(len(w.ring)):])
	}
	return n
}

// budget is memory that windows share, in bytes.
type budget struct {
	mu   sync.Mutex
	free int64
	more chan struct{} // closed and renewed when some was given back
}

func newBudget(bytes int64) *budget { return &budget{free: bytes, more: make(chan struct{})} }

// take tells whether there was as much.
func (b *budget) take(bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bytes > b.free {
		return false
	}
	b.free -= bytes
	return true
}

// await waits until there is as much.
func (b *budget) await(ctx context.Context, bytes int64) error {
	for {
		b.mu.Lock()
		more := b.more
		b.mu.Unlock()
		if b.take(bytes) {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (b *budget) give(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += bytes
	close(b.more)
	b.more = make(chan struct{})
}
