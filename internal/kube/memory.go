package kube

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// recentLife is how long an answer is given again without asking: what is changed on
	// the cluster takes effect after that.
	recentLife = 3 * time.Second
	// outageLife is how long an answer is given again while the API server gives none.
	outageLife = 10 * time.Minute
	// memorySize is how many answers are remembered of each kind.
	memorySize = 4096
)

// memory remembers answers of the cluster by the hash of their question, so that no token
// lies about in it. The same question is asked once at a time.
type memory[V any] struct {
	cache  *otter.Cache[[sha256.Size]byte, remembered[V]]
	asking singleflight.Group
	now    func() time.Time
	outage outage
}

type remembered[V any] struct {
	value V
	at    time.Time // when it was asked for
}

// within distrusts an entry from the future: the clock was set back.
func (r remembered[V]) within(now time.Time, life time.Duration) bool {
	age := now.Sub(r.at)
	return age >= 0 && age < life
}

// newMemory starts no goroutine: entries carry their own times, because the cache would
// need one to expire them.
func newMemory[V any](now func() time.Time, log *slog.Logger) (*memory[V], error) {
	cache, err := otter.New(&otter.Options[[sha256.Size]byte, remembered[V]]{
		MaximumSize: memorySize,
		Executor:    func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("making the memory of the cluster's answers: %w", err)
	}
	return &memory[V]{cache: cache, now: now, outage: outage{log: log}}, nil
}

// get asks, unless the answer is known. An *UnansweredError of ask leaves what is
// remembered in force; any other error is the cluster's answer and ends it.
func (m *memory[V]) get(key [sha256.Size]byte, ask func() (V, error)) (V, error) {
	now := m.now()
	held, ok := m.cache.GetIfPresent(key)
	if ok && held.within(now, recentLife) {
		return held.value, nil
	}
	carried := ok && held.within(now, outageLife)
	if carried && !m.outage.mayAsk(now) {
		return held.value, nil
	}
	value, err := m.ask(key, now, ask)
	if _, silent := errors.AsType[*UnansweredError](err); silent && carried {
		return held.value, nil
	}
	return value, err
}

// ask asks once for all who want to know the same at the same time, and remembers.
func (m *memory[V]) ask(key [sha256.Size]byte, now time.Time, ask func() (V, error)) (V, error) {
	answer, err, _ := m.asking.Do(string(key[:]), func() (any, error) {
		value, err := ask()
		if silence, silent := errors.AsType[*UnansweredError](err); silent {
			m.outage.began(m.now(), silence)
			return value, err
		}
		m.outage.ended()
		if err != nil {
			m.cache.Invalidate(key)
			return value, err
		}
		m.cache.Set(key, remembered[V]{value: value, at: now})
		return value, nil
	})
	return answer.(V), err
}
