package registry

import (
	"context"
	"io"
	"time"

	"github.com/larder-registry/larder/internal/sleep"
)

// pace keeps reading below a bandwidth, in bytes a second; zero is no bound.
type pace struct {
	bandwidth int64
	next      time.Time // when the next bytes may be read
}

// wait waits until n more bytes may have been read.
func (p *pace) wait(ctx context.Context, n int) error {
	if p.bandwidth <= 0 || n <= 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.bandwidth) * float64(time.Second)))
	return sleep.For(ctx, p.next.Sub(now))
}

// fsckReader reads at the check's pace and tells how far it is.
type fsckReader struct {
	ctx context.Context
	io.Reader
	fsck *fsck
	read *int64 // bytes so far
}

func (r *fsckReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	*r.read += int64(n)
	if late := r.fsck.pace.wait(r.ctx, n); late != nil {
		return n, late
	}
	if failed := r.fsck.tell(nil); failed != nil {
		return n, failed
	}
	return n, err
}
