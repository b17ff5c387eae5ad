package fairshare

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/telemetry"
)

const (
	// every is how often what was counted is written and what others counted is read; a
	// crash loses what was counted since.
	every = time.Second
	// atOnce is how many counts one transaction writes, and one query reads.
	atOnce = 500
	// overlap is how much of what was read is read again: a transaction may be seen later
	// than others that began after it.
	overlap = 10 * time.Second
	// lastWrite bounds the writing at the end, when the database may be gone.
	lastWrite = 10 * time.Second
)

// Store keeps what was counted; see metadata.LimitCounters.
type Store interface {
	Put(ctx context.Context, counters []metadata.LimitCounter) error
	List(ctx context.Context, q metadata.LimitCounterQuery) ([]metadata.LimitCounter, error)
}

// Open makes Shares that go on from what is in the store. Nothing is written unless Run
// runs.
func Open(ctx context.Context, c Config) (*Shares, error) {
	s := newShares(c)
	if err := s.read(ctx); err != nil {
		return nil, fmt.Errorf("reading who spent what upstreams give: %w", err)
	}
	return s, nil
}

// Run writes what was counted every second, and reads what other processes counted, until
// ctx ends.
func (s *Shares) Run(ctx context.Context) {
	telemetry.Repeat(ctx, every, s.exchange, func(err error) {
		s.Log.Warn("who spent what upstreams give could not be written or read and is tried again every second", "error", err)
	})
}

// Close writes what was counted last, also by pulls that ended after Run.
func (s *Shares) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastWrite)
	defer cancel()
	if err := s.write(ctx); err != nil {
		s.Log.Warn("what reserves and budgets counted in the last moments is lost", "error", err)
	}
}

func (s *Shares) exchange(ctx context.Context) error {
	if err := s.write(ctx); err != nil {
		return err
	}
	if !s.Shared || !s.wanted.Load() {
		return nil
	}
	return s.read(ctx)
}

// write writes the counts that have changed. Those that could not be written are changed
// still.
func (s *Shares) write(ctx context.Context) error {
	for {
		some, counters := s.some()
		if len(some) == 0 {
			return nil
		}
		if err := s.Store.Put(ctx, counters); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, of := range some {
				s.changed[of] = struct{}{}
			}
			return err
		}
		if len(some) < atOnce {
			return nil
		}
	}
}

// some takes out some of the counts that have changed.
func (s *Shares) some() ([]subject, []metadata.LimitCounter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	var all []subject
	var counters []metadata.LimitCounter
	for of := range s.changed {
		if len(all) == atOnce {
			break
		}
		delete(s.changed, of)
		c, known := s.counts[of]
		if !known {
			continue
		}
		all = append(all, of)
		counters = append(counters, metadata.LimitCounter{
			Subject: of.key(), Holder: s.holder, Content: c.own.Append(nil), ExpiresAt: now.Add(c.window),
		})
	}
	return all, counters
}

// read takes over what others have written since the last time.
func (s *Shares) read(ctx context.Context) error {
	q := metadata.LimitCounterQuery{NotOf: s.holder, Limit: atOnce, AfterSubject: prefix}
	if !s.seen.IsZero() {
		q.Changed = s.seen.Add(-overlap)
	}
	for {
		page, err := s.Store.List(ctx, q)
		if err != nil {
			return err
		}
		if more := s.heard(page); !more || len(page) < q.Limit {
			return nil
		}
		last := page[len(page)-1]
		q.AfterSubject, q.AfterHolder = last.Subject, last.Holder
	}
}

// heard takes over some counts of others, and tells whether more may follow: other limits
// keep theirs in the same place, by keys that come later. One that cannot be read is
// another version's, and left to it.
func (s *Shares) heard(page []metadata.LimitCounter) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	for _, counter := range page {
		of, ours := parseSubject(counter.Subject)
		if !ours {
			return false
		}
		if counter.ChangedAt.After(s.seen) {
			s.seen = counter.ChangedAt
		}
		h, rest, err := ratelimit.ReadHistory(counter.Content)
		if err != nil || len(rest) > 0 || !counter.ExpiresAt.After(now) {
			continue
		}
		s.count(of).others[counter.Holder] = &h
	}
	return true
}
