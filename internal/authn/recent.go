package authn

import (
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// recentLife bounds how long a change made by another server goes unnoticed.
	recentLife = time.Second
	// cacheSize is the number of entries that each cache of this package holds.
	cacheSize = 10_000
)

// newCache returns a bounded cache that starts no goroutine. Entries carry their
// own times, because the cache would need a goroutine to expire them.
func newCache[K comparable, V any]() (*otter.Cache[K, V], error) {
	c, err := otter.New(&otter.Options[K, V]{
		MaximumSize: cacheSize,
		Executor:    func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("making a cache: %w", err)
	}
	return c, nil
}

// recent remembers for a second what a store said. It forgets everything when
// an epoch ends. What is not there is never remembered, so that strangers cannot
// fill it with names.
type recent[K comparable, V any] struct {
	cache *otter.Cache[K, remembered[V]]
	now   func() time.Time
	epoch func() epoch
}

// epoch is a time in which no credential was changed, here or elsewhere.
type epoch struct {
	own    int64 // counts the changes of this process
	others metadata.Mark
}

type remembered[V any] struct {
	value V
	at    time.Time
	epoch epoch
}

func newRecent[K comparable, V any](now func() time.Time, epoch func() epoch) (*recent[K, V], error) {
	cache, err := newCache[K, remembered[V]]()
	if err != nil {
		return nil, err
	}
	return &recent[K, V]{cache: cache, now: now, epoch: epoch}, nil
}

func (r *recent[K, V]) get(key K, load func() (V, error)) (V, error) {
	// Both are taken before the store is read: a value read before a change, but
	// kept after it, then counts as old.
	epoch, now := r.epoch(), r.now()
	if e, ok := r.cache.GetIfPresent(key); ok && e.epoch == epoch && fresh(e.at, now, recentLife) {
		return e.value, nil
	}
	value, err := load()
	if err != nil {
		return value, err
	}
	r.cache.Set(key, remembered[V]{value: value, at: now, epoch: epoch})
	return value, nil
}

// fresh distrusts an entry from the future: the clock was set back.
func fresh(at, now time.Time, life time.Duration) bool {
	age := now.Sub(at)
	return age >= 0 && age < life
}
