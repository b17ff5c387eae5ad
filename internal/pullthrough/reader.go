package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/larder-registry/larder/internal/oci"
)

// reader follows a fill for one response. It holds the request's context because
// io.Reader has no room for it; it lives no longer than the request.
type reader struct {
	fill   *fill
	from   source     // where it may fetch bytes that it has missed
	caller oci.Caller // who pays for those
	ctx    context.Context
	offset int64
	detour *detour // nil while it has missed none
	close  sync.Once
}

// reader begins to follow the fill. The caller, for whom the source has shown the blob,
// closes it.
func (f *fill) reader(ctx context.Context, caller oci.Caller, from source) *reader {
	f.hold()
	r := &reader{fill: f, from: from, caller: caller, ctx: ctx}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at(r)
	return r
}

// Size is the blob's length in bytes, -1 while the upstream has not told it.
func (r *reader) Size() int64 {
	r.fill.mu.Lock()
	defer r.fill.mu.Unlock()
	return r.fill.size
}

// Read waits for bytes to come in. All but the blob's last byte are given before
// the whole has been verified.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	end, whole, err := r.fill.wait(r.ctx, func(f *fill) bool {
		f.at(r)
		return f.readable() > r.offset || f.verified
	})
	if err != nil {
		return 0, err
	}
	if r.offset >= end && whole {
		return 0, io.EOF
	}
	if most := end - r.offset; int64(len(p)) > most {
		p = p[:most]
	}
	n, err := r.fill.readAt(p, r)
	if errors.Is(err, errGone) {
		n, err = r.fetch(p)
	} else {
		r.endDetour()
	}
	r.offset += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if n == 0 { // the spool lost bytes that were written: no clean end
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// readable is the number of bytes that may be given out now.
func (f *fill) readable() int64 {
	if f.verified {
		return f.written
	}
	if f.size >= 0 {
		return min(f.written, f.size-1)
	}
	return f.written - 1
}

// Verified waits until the whole blob has matched its digest.
func (r *reader) Verified(ctx context.Context) error {
	r.fill.leave(r)
	r.endDetour()
	_, _, err := r.fill.wait(ctx, func(f *fill) bool { return f.verified })
	return err
}

// wait blocks until the condition holds, the fill fails, or the context ends. It
// tells how far may be read then, and whether that is the end.
func (f *fill) wait(ctx context.Context, until func(*fill) bool) (end int64, whole bool, err error) {
	for {
		f.mu.Lock()
		ok, err, changed := until(f), f.err, f.changed
		end, whole = f.readable(), f.verified
		f.mu.Unlock()
		switch {
		case err != nil:
			return 0, false, fmt.Errorf("following the transfer of %s: %w", f.digest, err)
		case ok:
			return end, whole, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, false, context.Cause(ctx)
		}
	}
}

// Seek moves the reader; nothing is waited for.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		size := r.Size()
		if size < 0 {
			return 0, errors.New("the blob's size is not known yet")
		}
		offset += size
	default:
		return 0, fmt.Errorf("seek from %d is not known", whence)
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of the blob")
	}
	r.offset = offset
	return offset, nil
}

// Close lets go of the fill; the transfer goes on.
func (r *reader) Close() error {
	r.close.Do(func() {
		r.fill.leave(r)
		r.endDetour()
		r.fill.release()
	})
	return nil
}
