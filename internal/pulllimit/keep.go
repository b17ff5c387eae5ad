package pulllimit

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/telemetry"
)

const (
	// every is how often what was counted is written and what others counted is read; a
	// crash loses what was counted since.
	every = time.Second
	// atOnce is how many subjects one transaction writes, and one query reads.
	atOnce = 500
	// overlap is how much of what was read is read again: a transaction may be seen later
	// than others that began after it.
	overlap = 10 * time.Second
	// sweepEvery is how often subjects are forgotten of which nothing counts any more.
	sweepEvery = time.Minute
	// lastWrite bounds the writing at the end, when the database may be gone.
	lastWrite = 10 * time.Second
)

// Store keeps what was counted.
type Store interface {
	Put(ctx context.Context, counters []metadata.LimitCounter) error
	List(ctx context.Context, q metadata.LimitCounterQuery) ([]metadata.LimitCounter, error)
	DeleteExpired(ctx context.Context, now time.Time) error
}

// Open makes a Limiter that goes on from what is in the store. Nothing is written unless
// Run runs.
func Open(ctx context.Context, c Config) (*Limiter, error) {
	l := newLimiter(c)
	if err := l.read(ctx); err != nil {
		return nil, fmt.Errorf("reading how much was pulled: %w", err)
	}
	return l, nil
}

// Run writes what was counted every second, and reads what other processes counted, until
// ctx ends; then it writes once more.
func (l *Limiter) Run(ctx context.Context) {
	telemetry.Repeat(ctx, every, l.exchange, func(err error) {
		l.Log.Warn("what pull limits count could not be written or read and is tried again every second", "error", err)
	})
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	if err := l.write(last); err != nil {
		l.Log.Warn("the pulls of the last moments are not counted after the next start", "error", err)
	}
}

// exchange tells the others what was counted here, and hears what they counted.
func (l *Limiter) exchange(ctx context.Context) error {
	l.mu.Lock()
	if now := l.Now(); now.Sub(l.swept) >= sweepEvery || now.Before(l.swept) {
		l.sweep(now)
	}
	l.mu.Unlock()
	if err := l.write(ctx); err != nil {
		return err
	}
	if !l.Shared || !l.wanted.Load() {
		return nil
	}
	return l.read(ctx)
}

// Sweep forgets in the store what matters no more.
func (l *Limiter) Sweep(ctx context.Context) error { return l.Store.DeleteExpired(ctx, l.Now()) }

// write writes the subjects that have changed. Those that could not be written are changed
// still.
func (l *Limiter) write(ctx context.Context) error {
	for {
		some, counters := l.some()
		if len(some) == 0 {
			return nil
		}
		if err := l.Store.Put(ctx, counters); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, c := range some {
				l.change(c)
			}
			return err
		}
		if len(some) < atOnce {
			return nil
		}
	}
}

// some takes out some of the subjects that have changed.
func (l *Limiter) some() (some []*counts, counters []metadata.LimitCounter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	for c := range l.changed {
		if len(some) == atOnce {
			break
		}
		delete(l.changed, c)
		c.changed = false
		some = append(some, c)
		counters = append(counters, metadata.LimitCounter{
			Subject: c.subject.key(), Holder: l.holder, Content: c.report(now).encode(), ExpiresAt: c.until,
		})
	}
	return some, counters
}

// read takes over what others have written since the last time.
func (l *Limiter) read(ctx context.Context) error {
	q := metadata.LimitCounterQuery{NotOf: l.holder, Limit: atOnce}
	if !l.seen.IsZero() {
		q.Changed = l.seen.Add(-overlap)
	}
	for {
		page, err := l.Store.List(ctx, q)
		if err != nil {
			return err
		}
		l.heard(page)
		if len(page) < q.Limit {
			return nil
		}
		last := page[len(page)-1]
		q.AfterSubject, q.AfterHolder = last.Subject, last.Holder
	}
}

// heard takes over some counters of others. One that cannot be read is another version's,
// and left to it.
func (l *Limiter) heard(page []metadata.LimitCounter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	for _, counter := range page {
		if counter.ChangedAt.After(l.seen) {
			l.seen = counter.ChangedAt
		}
		s, ok := parseSubject(counter.Subject)
		told, err := readReport(counter.Content)
		if !ok || err != nil || !counter.ExpiresAt.After(now) {
			continue
		}
		l.merge(s, counter.Holder, told, counter.ExpiresAt, now)
	}
}
