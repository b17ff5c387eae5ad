// Package ledger is the pull ledger: what every upstream was asked for, by which
// credential, and on whose behalf. Calls are booked off the path of requests.
package ledger

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/batch"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// bookEvery is how often calls are written.
	bookEvery = 2 * time.Second
	// maxWaiting is how many calls may wait to be written, booksAtOnce how many one
	// transaction writes: others wait for it.
	maxWaiting  = 50_000
	booksAtOnce = 500
	// Keep is how long single calls are kept unless it is configured, keepHours how long
	// the sums of hours are.
	Keep      = 30 * 24 * time.Hour
	keepHours = 400 * 24 * time.Hour
	// deletedAtOnce is how many old calls one transaction deletes.
	deletedAtOnce = 5000
)

// Config is what a Ledger stands on.
type Config struct {
	Store *metadata.Ledger
	// Keep is how long single calls are kept; zero means Keep.
	Keep time.Duration
	// Upstreams are those that are configured at this moment; nil: there are none.
	Upstreams func() []Upstream
	// Warn is told once when what is left of an account falls to a level; nil: nobody is.
	Warn func(ctx context.Context, w Warning)
	// Every is how often Watch looks; zero means 15 s.
	Every time.Duration
	// Tell lets other replicas hear a hint, which they give to Hear; nil: there are none.
	Tell    func(ctx context.Context, hint string) error
	Metrics *Metrics
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger
}

// Ledger books calls and tells of them. It is safe for concurrent use.
type Ledger struct {
	config  Config
	waiting *batch.Writer[upstream.Call]
	coming  coming
	untold  *batch.Writer[announced] // for other replicas; nil: there are none

	looking sync.Mutex // held by who looks
	stands  map[metadata.LedgerAccount]stand
}

// New makes a Ledger. Run writes what is booked, Close the last of it.
func New(c Config) *Ledger {
	if c.Keep == 0 {
		c.Keep = Keep
	}
	if c.Upstreams == nil {
		c.Upstreams = func() []Upstream { return nil }
	}
	if c.Every == 0 {
		c.Every = watchEvery
	}
	if c.Warn == nil {
		c.Warn = func(context.Context, Warning) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	l := &Ledger{config: c, untold: newHints(c), stands: map[metadata.LedgerAccount]stand{}}
	l.waiting = batch.New(batch.Config[upstream.Call]{
		What: "the ledger's calls", Write: l.write, Every: bookEvery, Most: maxWaiting, AtOnce: booksAtOnce,
		Dropped: func(count int) { c.Metrics.dropped.Add(float64(count)) }, Log: c.Log,
	})
	return l
}

// Book takes note of a call. It never blocks: a call too many is dropped and counted.
func (l *Ledger) Book(c upstream.Call) { l.waiting.Put(l.attributed(c)) }

// Run writes what is booked every few seconds, and tells other replicas what is coming, until
// ctx ends.
func (l *Ledger) Run(ctx context.Context) {
	var telling sync.WaitGroup
	if l.untold != nil {
		telling.Go(func() { l.untold.Run(ctx) })
	}
	l.waiting.Run(ctx)
	telling.Wait()
}

// Flush writes what was booked before.
func (l *Ledger) Flush(ctx context.Context) error { return l.waiting.Flush(ctx) }

// Close writes what is left, also of calls that ended after Run.
func (l *Ledger) Close() { l.waiting.Close() }

func (l *Ledger) write(ctx context.Context, some []upstream.Call) error {
	calls := make([]metadata.LedgerCall, 0, len(some))
	for _, c := range some {
		calls = append(calls, entry(c))
	}
	return l.config.Store.Book(ctx, calls)
}

// Shorten deletes what is older than it is to be kept, some at a time.
func (l *Ledger) Shorten(ctx context.Context) error {
	for {
		deleted, err := l.config.Store.DeleteCalls(ctx, l.config.Now().Add(-l.config.Keep), deletedAtOnce)
		if err != nil {
			return err
		}
		if deleted < deletedAtOnce {
			break
		}
	}
	for {
		deleted, err := l.config.Store.DeleteHour(ctx, l.config.Now().Add(-max(keepHours, l.config.Keep)))
		if err != nil || deleted == 0 {
			return err
		}
	}
}
