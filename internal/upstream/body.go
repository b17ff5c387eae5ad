package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxErrorBody bounds what is read of an answer that is not what was asked for.
const maxErrorBody = 64 << 10

// Body is a blob as it comes. Its bytes are not verified. A Read that gets no byte for
// Timeouts.Stall, and a connection that breaks, return an *Error; io.EOF is returned
// only at the end that the upstream announced.
type Body struct {
	io.ReadCloser
	// Offset is where the bytes begin: 0 if the upstream did not honor the range.
	Offset int64
	// Size is the whole blob's length in bytes, -1 when the upstream did not say.
	Size int64
}

// guarded is an answer's body whose reads are bounded in time.
type guarded struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	// timer cancels the exchange. It runs only inside Read: a reader may take its
	// time between reads.
	timer *time.Timer
	stall time.Duration
	fail  func(error) error
	// done is told, once, how many bytes were read.
	done   func(read int64)
	ending sync.Once
	read   atomic.Int64
}

func (g *guarded) Read(p []byte) (int, error) {
	g.timer.Reset(g.stall)
	n, err := g.body.Read(p)
	g.timer.Stop()
	g.read.Add(int64(n))
	if err != nil && err != io.EOF { //nolint:errorlint // a reader's end is io.EOF itself
		if cause := context.Cause(g.ctx); cause != nil {
			err = cause
		}
		err = g.fail(err)
	}
	return n, err
}

// Close ends the exchange, whether or not all was read.
func (g *guarded) Close() error {
	g.timer.Stop()
	err := g.body.Close()
	g.cancel(context.Canceled)
	g.ending.Do(func() { g.done(g.read.Load()) })
	return err
}

// readAll reads a body of at most limit bytes.
func (r *Registry) readAll(got *answer, limit int64, what string) ([]byte, error) {
	tooLarge := &Error{
		Kind: Invalid, Status: got.StatusCode, Upstream: r.config.Name,
		Message: fmt.Sprintf("%s: the answer is larger than %d bytes", what, limit),
	}
	if got.ContentLength > limit {
		return nil, tooLarge
	}
	content, err := io.ReadAll(io.LimitReader(got.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, tooLarge
	}
	return content, nil
}

// discard reads what little is left of a body, so that the connection can be used
// again, and closes it.
func discard(response *http.Response) {
	_, err := io.CopyN(io.Discard, response.Body, maxErrorBody)
	_ = errors.Join(err, response.Body.Close())
}

// errorText reads the start of an error's body. What cannot be read is left out: the
// status tells enough.
func errorText(response *http.Response) []byte {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	_ = errors.Join(err, response.Body.Close())
	return text
}
