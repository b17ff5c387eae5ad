package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-registry/larder/internal/sleep"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// maxFailures is how often in a row a transfer may break without a byte of progress.
	maxFailures = 6
	// copyBuffer is how much is read from an upstream at a time, in bytes.
	copyBuffer = 256 << 10
)

// receive appends the body to the spool, and resumes with a Range request when the
// connection breaks, a bounded number of times without progress.
func (f *fill) receive(ctx context.Context, body *upstream.Body) error {
	buffer := make([]byte, copyBuffer)
	for failures := 0; ; {
		before := f.writtenBytes()
		err := f.drain(ctx, body, buffer)
		_ = body.Close()
		if err == nil {
			return nil
		}
		if !resumable(err) || ctx.Err() != nil {
			return err
		}
		if f.writtenBytes() > before {
			failures = 0
		}
		if body, failures, err = f.resume(ctx, failures, err); err != nil {
			return err
		}
	}
}

// resume asks for the rest of the blob until the upstream gives it or has failed too
// often in a row.
func (f *fill) resume(ctx context.Context, failures int, cause error) (*upstream.Body, int, error) {
	for {
		failures++
		if failures > maxFailures {
			return nil, failures, fmt.Errorf("giving up after %d attempts to resume at byte %d: %w", maxFailures, f.writtenBytes(), cause)
		}
		pause := f.fills.backoff(failures)
		if err := sleep.UpTo(ctx, pause); err != nil {
			return nil, failures, err
		}
		f.fills.metrics.resumed.WithLabelValues(f.source.cache.Project).Inc()
		body, err := f.source.open(ctx, f.payer, f.digest, f.writtenBytes())
		if err == nil {
			return body, failures, nil
		}
		if !resumable(err) {
			return nil, failures, err
		}
		cause = err
	}
}

// resumable tells breaks of a connection from answers that will not change.
func resumable(err error) bool {
	if errors.Is(err, errSpool) || errors.Is(err, errAbandoned) || errors.Is(err, errUnconfirmed) {
		return false
	}
	switch upstream.KindOf(err) {
	case upstream.NotFound, upstream.Denied, upstream.Invalid, upstream.CredentialRefused:
		return false
	}
	return true
}

// errSpool marks failures of our own disk, which no new connection mends.
var errSpool = errors.New("writing the spool")

// drain appends one response's bytes, leaving out those that are there already when
// the upstream did not honor the Range.
func (f *fill) drain(ctx context.Context, body *upstream.Body, buffer []byte) error {
	at := f.writtenBytes()
	if skip := at - body.Offset; skip > 0 {
		if _, err := io.CopyN(io.Discard, body, skip); err != nil {
			return fmt.Errorf("skipping %d bytes: %w", skip, err)
		}
	}
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			if err := f.append(ctx, buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return f.whole()
		}
		if err != nil {
			return fmt.Errorf("reading from %s: %w", f.source.cache.Title, err)
		}
	}
}

func (f *fill) append(ctx context.Context, p []byte) error {
	if at := f.writtenBytes(); f.size >= 0 && at+int64(len(p)) > f.size || at+int64(len(p)) > maxBlobSize {
		return &upstream.Error{Kind: upstream.Invalid, Upstream: f.source.cache.Project, Message: "more bytes than it had announced"}
	}
	if !f.aside {
		f.fills.metrics.fillBytes.WithLabelValues(f.source.cache.Project).Add(float64(len(p)))
	}
	if !f.passes() {
		rest, err := f.spoolBytes(ctx, p)
		if !full(err) {
			return err
		}
		if err := f.pass(ctx); err != nil {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
		p = rest
	}
	return f.passOn(ctx, p)
}

// spoolBytes appends to the spool, and returns what it did not take.
func (f *fill) spoolBytes(ctx context.Context, p []byte) (rest []byte, err error) {
	err = f.fills.retried(ctx, f.missing, func() error {
		n, err := f.spool.Write(p)
		p = p[n:]
		f.update(func() { f.written += int64(n) })
		return err
	})
	if err != nil {
		return p, fmt.Errorf("%w: %w", errSpool, err)
	}
	return nil, nil
}

// whole tells a body's end from a connection that ended early without an error.
func (f *fill) whole() error {
	if f.size >= 0 && f.writtenBytes() < f.size {
		return fmt.Errorf("%s ended at byte %d of %d: %w", f.source.cache.Title, f.writtenBytes(), f.size, io.ErrUnexpectedEOF)
	}
	return nil
}
