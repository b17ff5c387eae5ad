package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/larder-registry/larder/internal/sleep"
)

const (
	maxTries = 3
	// hurry is the remaining time in which a caller gets one try and no more.
	hurry = 2 * time.Second
	// firstPause is the mean wait before the second try; it doubles after that.
	firstPause = 150 * time.Millisecond
)

// request is one GET or HEAD, with the proof that goes with it.
type request struct {
	call          Call // what is reported of it
	method        string
	url           *url.URL
	header        http.Header
	authorization string
	what          string // for error texts, as in "reading manifest library/nginx:latest"
	stay          bool   // do not follow redirects
}

// answer is a response whose body is bounded in time.
type answer struct {
	*http.Response
	// foreign is true when a redirect led to another origin: what is answered there
	// says nothing about the registry's credentials and limits.
	foreign bool
}

// exchange sends a request, and again after a fault that may pass: a broken
// connection, 502, 503, 504. A caller whose deadline is less than two seconds away
// gets one try.
func (r *Registry) exchange(ctx context.Context, out request) (*answer, error) {
	for try := 1; ; try++ {
		got, err := r.follow(ctx, out)
		if !passing(got, err) || try == maxTries || !afford(ctx, pause(try)) {
			return got, err
		}
		if err == nil {
			discard(got.Response)
		}
	}
}

// passing tells whether trying again soon may help.
func passing(got *answer, err error) bool {
	if err != nil {
		_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
		return KindOf(err) == Unavailable && !untrusted
	}
	switch got.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		// Whoever names a time knows that now is too early; the error tells it.
		return got.Header.Get("Retry-After") == ""
	}
	return false
}

// pause spreads the tries of many callers, so that they do not all come back at once.
func pause(try int) time.Duration {
	mean := firstPause << (try - 1)
	return mean/2 + rand.N(mean) //nolint:gosec // spreading retries needs no secrecy
}

// afford waits, and is false when the caller has no time for it.
func afford(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < hurry {
		return false
	}
	return sleep.For(ctx, d) == nil
}

// send makes one HTTP request. The caller closes the answer's body.
func (r *Registry) send(ctx context.Context, out request) (*http.Response, error) {
	bounded, cancel := context.WithCancelCause(ctx)
	call, left := r.begun(out.call), &departures{}
	outgoing, err := http.NewRequestWithContext(left.counting(bounded), out.method, out.url.String(), nil)
	if err != nil {
		cancel(err)
		return nil, r.failure(ctx, out.what, err)
	}
	outgoing.Header = out.header.Clone()
	outgoing.Header.Set("User-Agent", r.config.UserAgent)
	if out.authorization != "" {
		outgoing.Header.Set("Authorization", out.authorization)
	}
	limit := time.AfterFunc(r.config.Timeouts.answer(), func() { cancel(errStalled) })
	got, err := r.transport.RoundTrip(outgoing)
	limit.Stop()
	if err != nil {
		if cause := context.Cause(bounded); cause != nil {
			err = cause
		}
		cancel(err)
		r.metrics.request(r.config.Name, call.Kind, 0)
		r.reportUnanswered(call, left, 0)
		return nil, r.failure(ctx, out.what, err)
	}
	r.metrics.request(r.config.Name, call.Kind, got.StatusCode)
	r.reportUnanswered(call, left, 1)
	call.answered(got)
	got.Body = &guarded{
		body: got.Body, ctx: bounded, cancel: cancel, timer: limit, stall: r.config.Timeouts.Stall,
		fail: func(err error) error { return r.failure(ctx, out.what, err) },
		done: func(read int64) { call.Bytes = read; r.report(call) },
	}
	return got, nil
}

// failure is the error for an exchange that broke. When the caller itself went away
// it is the caller's own error.
func (r *Registry) failure(ctx context.Context, what string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	kind := Unavailable
	slow, ok := errors.AsType[net.Error](err)
	if errors.Is(err, errStalled) || errors.Is(err, context.DeadlineExceeded) || ok && slow.Timeout() {
		kind = Timeout
	}
	return &Error{Kind: kind, Upstream: r.config.Name, Message: what, Err: err}
}
