package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	// completeFactor is how many times as long S3 may take to put an object together
	// from its parts, the only thing that it does at length without a sign of life.
	completeFactor = 10
	// maxAnswer bounds an answer that is not the content of an object, in bytes. A
	// listing of a thousand long keys has two million.
	maxAnswer = 8 << 20
)

// stallError says that a request was given up.
type stallError struct{ after time.Duration }

func (e *stallError) Error() string {
	return fmt.Sprintf("the object storage made no progress for %s", e.after)
}

// guard ends each request that makes no progress, however much time the whole
// of it is given: a part of any size may go up over a slow line. And it receives
// an answer whole before it is looked at, so that one which breaks off is asked
// for again like one that never came. What an object holds is passed on as it
// comes; its reader does the same.
type guard struct {
	base  http.RoundTripper
	stall time.Duration
}

func newTransport(secure bool, stall time.Duration) (http.RoundTripper, error) {
	base, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	base.ResponseHeaderTimeout = 0 // the guard's matter
	return &guard{base: base, stall: stall}, nil
}

// RoundTrip is http.RoundTripper's.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	limit := g.stall
	if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") {
		limit *= completeFactor
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	w := &watch{cancel: cancel, limit: limit}
	w.timer = time.AfterFunc(limit, func() { cancel(&stallError{limit}) })
	guarded := r.WithContext(ctx)
	if r.Body != nil {
		guarded.Body = &sentBody{r.Body, w}
	}
	response, err := g.base.RoundTrip(guarded)
	w.timer.Stop()
	if err != nil {
		defer cancel(nil)
		return nil, w.reason(ctx, err)
	}
	response.Body = &receivedBody{ReadCloser: response.Body, watch: w, ctx: ctx}
	if r.Method == http.MethodGet && r.URL.RawQuery == "" && response.StatusCode < http.StatusMultipleChoices {
		return response, nil
	}
	return received(response)
}

// received is the answer with all of its body.
func received(response *http.Response) (*http.Response, error) {
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// watch is the clock of one request.
type watch struct {
	timer  *time.Timer
	limit  time.Duration
	cancel context.CancelCauseFunc
}

// reason tells a request that was given up from one that failed or was canceled.
func (w *watch) reason(ctx context.Context, err error) error {
	if stalled, ok := context.Cause(ctx).(*stallError); ok { //nolint:errorlint // the cause is given above, never wrapped
		return stalled
	}
	return err
}

// sentBody sets the clock back with each piece of a request that is sent.
type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.limit)
	return b.ReadCloser.Read(p)
}

// receivedBody runs the clock while bytes of an answer are waited for, not while
// its reader is busy elsewhere.
type receivedBody struct {
	io.ReadCloser
	watch *watch
	ctx   context.Context // the request's own
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.limit)
	n, err := b.ReadCloser.Read(p)
	b.watch.timer.Stop()
	if err != nil && err != io.EOF { //nolint:errorlint // a body ends with io.EOF itself
		err = b.watch.reason(b.ctx, err)
	}
	return n, err
}

func (b *receivedBody) Close() error {
	b.watch.timer.Stop()
	defer b.watch.cancel(nil)
	return b.ReadCloser.Close()
}
