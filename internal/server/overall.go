package server

import (
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/telemetry"
)

const (
	// maxAddresses bounds how many addresses are remembered.
	maxAddresses = 200_000
	// notedEvery is how often the log hears of one address, and mostNoted how many
	// addresses it hears of in that time.
	notedEvery = time.Minute
	mostNoted  = 20
)

// overallLimit is the limit on all requests of each address, whatever they ask for. It
// stands before everything else, logs and metrics too, so that a refusal costs next to
// nothing. It is safe for concurrent use.
type overallLimit struct {
	now     func() time.Time
	log     *slog.Logger
	refused prometheus.Counter

	mu        sync.Mutex
	addresses map[netip.Addr]requests
	minute    time.Time // the one that noted counts in
	noted     int
}

// requests are those of one address.
type requests struct {
	full  time.Time // when all may be asked again at once
	noted time.Time // when the log last heard of a refusal
}

func newOverallLimit(now func() time.Time, to prometheus.Registerer, log *slog.Logger) *overallLimit {
	if now == nil {
		now = time.Now
	}
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "larder_overall_limit_refused_total",
		Help: "Requests that were refused by the limit on all requests of an address. They are in no other metric.",
	})
	to.MustRegister(refused)
	return &overallLimit{now: now, log: log, refused: refused, addresses: map[netip.Addr]requests{}}
}

// before puts the limit before a handler. Requests that are exempt are not counted.
func (o *overallLimit) before(next http.Handler, limit ratelimit.Limit, clients *telemetry.ClientAddress, exempt func(*http.Request) bool) http.Handler {
	if limit.Unlimited() {
		return next
	}
	bucket := limit.Bucket()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !exempt(r) {
			if wait := o.take(bucket, pulllimit.Network(clients.Of(r))); wait > 0 {
				refuseRequest(w, wait)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// take counts a request of an address, or tells how long it has to wait.
func (o *overallLimit) take(bucket ratelimit.Bucket, from netip.Addr) time.Duration {
	now := o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	known, found := o.addresses[from]
	full, wait := bucket.Take(known.full, now)
	known.full = full
	if wait > 0 {
		o.refused.Inc()
		o.note(&known, from, wait, now)
	} else if !found {
		o.makeRoom(now)
	}
	o.addresses[from] = known
	return wait
}

// makeRoom forgets addresses when there are too many: those that may ask for everything
// again, and otherwise any.
func (o *overallLimit) makeRoom(now time.Time) {
	if len(o.addresses) < maxAddresses {
		return
	}
	for address, known := range o.addresses {
		if !known.full.After(now) {
			delete(o.addresses, address)
		}
	}
	for address := range o.addresses {
		if len(o.addresses) <= maxAddresses*9/10 { // not at each request anew
			break
		}
		delete(o.addresses, address)
	}
}

// note tells the log of an address that is refused, not too often.
func (o *overallLimit) note(known *requests, from netip.Addr, wait time.Duration, now time.Time) {
	if now.Sub(o.minute) >= notedEvery || now.Before(o.minute) {
		o.minute, o.noted = now, 0
	}
	if now.Sub(known.noted) < notedEvery || o.noted == mostNoted {
		return
	}
	o.noted++
	known.noted = now
	o.log.Warn("an address sends more requests than pullLimits.overall allows and is refused", "client", from.String(), "retry_after", wait.Round(time.Second).String())
}

// refuseRequest answers as Docker Hub's limit of this kind does.
func refuseRequest(w http.ResponseWriter, wait time.Duration) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	header.Set("Connection", "close")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = io.WriteString(w, "Too Many Requests\n")
}
