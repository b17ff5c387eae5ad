package pullthrough

import (
	"context"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// maxFlights bounds the questions to one upstream that are under way at once: they go
// on when their askers have gone, and anybody can ask for any name.
const maxFlights = 4096

// flights holds the questions to an upstream that are under way, by what they ask.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
}

// flight is one question and, once done is closed, its answer.
type flight struct {
	began time.Time
	done  chan struct{}
	value any
	err   error
}

// shared runs fn once for all who ask for the same key at the same time, in a
// context that ends with the cache and not with an asker. Joined is true for those
// who found it running. The error is UNAVAILABLE when too many are under way.
func shared[T any](ctx context.Context, c *Cache, key string, limit time.Duration, fn func(context.Context) (T, error)) (value T, joined bool, err error) {
	f, joined, err := begin(c, key, limit, fn)
	if err != nil {
		return value, false, err
	}
	value, err = await[T](ctx, f)
	return value, joined, err
}

// begin is shared without the wait.
func begin[T any](c *Cache, key string, limit time.Duration, fn func(context.Context) (T, error)) (f *flight, joined bool, err error) {
	return c.join(key, func(f *flight) {
		ctx, cancel := context.WithTimeout(c.life, limit)
		defer cancel()
		f.value, f.err = fn(ctx)
	})
}

func await[T any](ctx context.Context, f *flight) (value T, err error) {
	select {
	case <-f.done:
		value, _ = f.value.(T)
		return value, f.err
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}

func (c *Cache) join(key string, fly func(*flight)) (_ *flight, joined bool, err error) {
	c.flights.mu.Lock()
	defer c.flights.mu.Unlock()
	if running, ok := c.flights.running[key]; ok {
		return running, true, nil
	}
	if len(c.flights.running) >= maxFlights || c.life.Err() != nil {
		return nil, false, &oci.Error{
			Code:       oci.CodeUnavailable,
			Message:    "this registry has too many questions to " + c.Title + " under way, or is shutting down: try again in a moment",
			RetryAfter: retrySoon,
		}
	}
	begun := &flight{began: time.Now(), done: make(chan struct{})}
	c.flights.running[key] = begun
	c.work.Go(func() {
		fly(begun)
		c.land(key, begun)
	})
	return begun, false, nil
}

// land lets the next asker begin anew before those who waited are answered, so that
// none of them can find the old answer again.
func (c *Cache) land(key string, ended *flight) {
	c.flights.mu.Lock()
	delete(c.flights.running, key)
	c.flights.mu.Unlock()
	close(ended.done)
}
