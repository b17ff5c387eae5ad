package pullthrough

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/sleep"
	"github.com/larder-registry/larder/internal/upstream"
)

// maxDetours bounds the readers that fetch by themselves, over all fills.
const maxDetours = 256

// detour is a reader's own request to the upstream, for bytes of a blob that passes
// through and that have left its fill's window. Nothing of it is given out before it
// has been found to be what the fill received, block by block; so the fill's digest
// stands for these bytes too.
type detour struct {
	body  *upstream.Body // nil when it has to be asked for
	next  int64          // offset of the body's next byte
	at    int64          // offset of block
	block []byte         // the last one that was fetched
}

// fetch reads bytes at the reader's offset from its detour, which it begins if need be.
func (r *reader) fetch(p []byte) (int, error) {
	if r.detour == nil {
		if r.fill.fills.detours.Add(1) > maxDetours {
			r.fill.fills.detours.Add(-1)
			return 0, &oci.Error{Code: oci.CodeUnavailable, RetryAfter: retrySoon, Message: "too many clients are slower than what passes through to them, since the registry's disk is full: try again in a moment"}
		}
		r.fill.fills.metrics.detours.WithLabelValues(r.from.cache.Project).Inc()
		r.detour = &detour{block: make([]byte, 0, blockSize)}
	}
	d := r.detour
	if index := r.offset / blockSize; len(d.block) == 0 || index != d.at/blockSize {
		if err := r.fetchBlock(index); err != nil {
			return 0, fmt.Errorf("fetching a part of blob %s again: %w", r.fill.digest, err)
		}
	}
	return copy(p, d.block[r.offset-d.at:]), nil
}

// fetchBlock fetches one block, asking anew a bounded number of times when the
// connection breaks.
func (r *reader) fetchBlock(index int64) error {
	for failures := 0; ; {
		err := r.detour.read(r.ctx, r, index*blockSize)
		if err == nil {
			return r.compare(index)
		}
		r.detour.drop()
		if failures++; failures > maxFailures || !resumable(err) || r.ctx.Err() != nil {
			return err
		}
		pause := r.fill.fills.backoff(failures)
		if err := sleep.UpTo(r.ctx, pause); err != nil {
			return err
		}
	}
}

// compare holds a block against what the fill received.
func (r *reader) compare(index int64) error {
	r.fill.mu.Lock()
	want := r.fill.passing.outline.blocks[index]
	r.fill.mu.Unlock()
	if sha256.Sum256(r.detour.block) == want {
		return nil
	}
	r.detour.block = r.detour.block[:0]
	return &upstream.Error{Kind: upstream.Invalid, Upstream: r.from.cache.Project, Message: "other bytes than it had sent of the same blob before"}
}

// read reads the whole block at an offset.
func (d *detour) read(ctx context.Context, r *reader, offset int64) error {
	d.at, d.block = offset, d.block[:0]
	if d.body == nil || d.next != offset {
		d.drop()
		body, err := r.from.open(ctx, r.caller, r.fill.digest, offset)
		if err != nil {
			return err
		}
		d.body, d.next = body, offset
		if _, err := io.CopyN(io.Discard, body, offset-body.Offset); err != nil { // no Range was honored
			return fmt.Errorf("skipping %d bytes: %w", offset-body.Offset, err)
		}
	}
	n, err := io.ReadFull(d.body, d.block[:blockSize])
	d.next += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("reading from %s: %w", r.from.cache.Title, err)
	}
	d.block = d.block[:n]
	return nil
}

func (d *detour) drop() {
	if d.body != nil {
		_ = d.body.Close()
		d.body = nil
	}
}

// endDetour is called when the reader misses no more bytes.
func (r *reader) endDetour() {
	if r.detour == nil {
		return
	}
	r.detour.drop()
	r.detour = nil
	r.fill.fills.detours.Add(-1)
}
