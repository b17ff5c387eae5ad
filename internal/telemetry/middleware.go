package telemetry

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"
)

const (
	requestIDHeader = "X-Request-Id"
	statusAborted   = "aborted"
)

// Middleware is the one wrapper that feeds logs and metrics.
//
// It logs one line for each request at info, those of probes and scrapers at
// debug, once the answer has ended. The line has an id, the one that came from a trusted
// proxy, else a random one; an answer that is an error tells it as X-Request-Id.
//
// A panic with http.ErrAbortHandler goes on to net/http, which cuts the
// connection. Any other is logged at error with its stack and counted, and
// answered with 500 where nothing was sent; where something was, the connection
// is cut, because an answer that ended cleanly would look complete.
func Middleware(log *slog.Logger, metrics *Metrics, clientAddress *ClientAddress, next http.Handler) http.Handler {
	return &middleware{log: log, metrics: metrics, clientAddress: clientAddress, next: next}
}

type middleware struct {
	log           *slog.Logger
	metrics       *Metrics
	clientAddress *ClientAddress
	next          http.Handler
}

func (m *middleware) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	m.metrics.inFlight.Inc()
	w := &response{ResponseWriter: out, id: m.requestID(r), head: r.Method == http.MethodHead}

	aborted := m.serve(w, r)
	if w.status == 0 && !aborted {
		w.status = http.StatusOK // net/http sends it for an answer that is empty
	}
	took := time.Since(begun)
	cacheStatus := out.Header().Get("Cache-Status")
	m.metrics.inFlight.Dec()
	m.metrics.observe(r.Method, w, cacheStatus, aborted, took)
	m.logRequest(r, requestFacts{w, m.clientAddress.Of(r), cacheStatus, aborted, took})
	if aborted {
		panic(http.ErrAbortHandler)
	}
}

// serve calls the next handler and says whether the connection has to be cut.
func (m *middleware) serve(w *response, r *http.Request) (aborted bool) {
	defer func() {
		thrown := recover()
		if thrown == nil {
			return
		}
		if err, ok := thrown.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			aborted = true
			return
		}
		m.metrics.panics.Inc()
		m.log.LogAttrs(r.Context(), slog.LevelError, "panic while serving a request",
			slog.String("request_id", w.id),
			slog.String("method", clip(r.Method)),
			slog.String("path", clip(r.URL.Path)),
			slog.String("panic", fmt.Sprint(thrown)),
			slog.String("stack", string(debug.Stack())))
		if aborted = w.status != 0; !aborted {
			answerPanic(w)
		}
	}()
	m.next.ServeHTTP(w, r)
	return false
}

// answerPanic drops the headers that were meant for another answer.
func answerPanic(w *response) {
	clear(w.Header())
	http.Error(w, "the server failed while answering this request; its log tells more under request id "+w.id,
		http.StatusInternalServerError)
}

// requestID takes over a proxy's id if it is one that can stand in a log.
func (m *middleware) requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	if id != "" && len(id) <= 128 && token(id, ":/=") && m.clientAddress.fromTrusted(r) {
		return id
	}
	return rand.Text()
}

// requestFacts is what the log line tells beside the request itself.
type requestFacts struct {
	w           *response
	client      netip.Addr
	cacheStatus string
	aborted     bool
	took        time.Duration
}

func (m *middleware) logRequest(r *http.Request, facts requestFacts) {
	level := slog.LevelInfo
	if isProbe(r) {
		level = slog.LevelDebug
	}
	if m.log.Enabled(r.Context(), level) {
		m.log.LogAttrs(r.Context(), level, "request", facts.attrs(r)...)
	}
}

// isProbe says whether the request is one of those that come every few seconds
// for as long as the server runs.
func isProbe(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.URL.Path {
	case "/healthz", "/readyz", "/metrics":
		return true
	}
	return false
}

// attrs leaves out what is empty. Of the query it takes only what is known to be
// no secret: tokens and the state of uploads travel there too.
func (f requestFacts) attrs(r *http.Request) []slog.Attr {
	attrs := make([]slog.Attr, 0, 16)
	optional := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, clip(value)))
		}
	}
	attrs = append(attrs, slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.Path)))
	if r.URL.RawQuery != "" {
		query := r.URL.Query()
		for _, name := range []string{"ns", "n", "last"} {
			optional(name, query.Get(name))
		}
	}
	if f.aborted {
		attrs = append(attrs, slog.String("status", statusAborted))
	} else {
		attrs = append(attrs, slog.Int("status", f.w.status))
	}
	attrs = append(attrs,
		slog.Int64("bytes", f.w.sent),
		slog.Float64("seconds", f.took.Seconds()))
	if f.client.IsValid() {
		attrs = append(attrs, slog.String("client", f.client.String()))
	}
	optional("user", f.w.record.User)
	optional("cache", f.cacheStatus)
	attrs = append(attrs, slog.String("request_id", f.w.id))
	optional("error", f.w.record.ErrorCode)
	if f.w.record.Cause != nil {
		optional("cause", f.w.record.Cause.Error())
	}
	return attrs
}

// clip bounds what a stranger can put into one attribute.
func clip(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
