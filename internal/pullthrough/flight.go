package pullthrough

import (
	"context"
	"sync"
	"time"
)

// flights holds the questions to an upstream that are under way, by what they ask.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
}

// flight is one question and, once done is closed, its answer.
type flight struct {
	done  chan struct{}
	value any
	err   error
}

// shared runs fn once for all who ask for the same key at the same time, in a
// context that ends with the cache and not with an asker. Joined is true for those
// who found it running.
func shared[T any](ctx context.Context, c *Cache, key string, limit time.Duration, fn func(context.Context) (T, error)) (value T, joined bool, err error) {
	f, joined := c.flights.join(key)
	if !joined {
		c.work.Go(func() {
			ctx, cancel := context.WithTimeout(c.life, limit)
			defer cancel()
			f.value, f.err = fn(ctx)
			c.flights.end(key, f)
		})
	}
	select {
	case <-f.done:
		value, _ = f.value.(T)
		return value, joined, f.err
	case <-ctx.Done():
		return value, joined, context.Cause(ctx)
	}
}

func (f *flights) join(key string) (_ *flight, joined bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running, ok := f.running[key]; ok {
		return running, true
	}
	begun := &flight{done: make(chan struct{})}
	f.running[key] = begun
	return begun, false
}

// end lets the next asker begin anew before those who waited are answered, so that
// none of them can find the old answer again.
func (f *flights) end(key string, ended *flight) {
	f.mu.Lock()
	delete(f.running, key)
	f.mu.Unlock()
	close(ended.done)
}
