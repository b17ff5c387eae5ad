package gc

import (
	"context"
	"errors"
	"fmt"
)

// Check measures the cache and evicts when it is over its limit, down to 95 hundredths
// of it. One goroutine calls it.
func (e *Evictor) Check(ctx context.Context) error {
	if err := e.measure(ctx); err != nil {
		return err
	}
	over, err := e.over(e.cached)
	if err != nil || over <= 0 {
		e.warned = e.warned && over > 0
		return err
	}
	e.measured = false
	err = e.exclusively(ctx, func(ctx context.Context) error {
		freed, err := e.evict(ctx, "the cache is over its limit", e.Now().Add(-sparedFor), over)
		if err == nil && freed < over && !e.warned {
			e.warned = true
			e.Log.Warn("the cache is over cacheSize and cannot be made smaller: the rest is pinned, hosted, not Larder's, or was pulled within the last hour", "over", over-freed)
		}
		return err
	})
	if errors.Is(err, errNoTurn) {
		return nil // another process is at it, or a backup: the next check comes soon
	}
	return err
}

// measure adds up what is cached, unless nothing has come since that was last done.
func (e *Evictor) measure(ctx context.Context) error {
	if e.stored.Swap(0) == 0 && e.measured {
		return nil
	}
	cached, err := e.DB.Blobs.CachedSize(ctx)
	if err != nil {
		return err
	}
	e.cached, e.measured = cached, true
	e.Metrics.cached.Set(float64(cached))
	return nil
}

// over tells how many bytes have to go; 0 within the limit.
func (e *Evictor) over(cached int64) (int64, error) {
	if limit := e.Limit.Bytes; limit > 0 {
		if cached <= limit {
			return 0, nil
		}
		return cached - limit/100*lowMark, nil
	}
	if e.Limit.Percent == 0 || e.Space == nil {
		return 0, nil
	}
	space, err := e.Space()
	if err != nil {
		return 0, fmt.Errorf("measuring the file system: %w", err)
	}
	limit := (space.Used + space.Free) / 100 * int64(e.Limit.Percent)
	if space.Used <= limit {
		return 0, nil
	}
	return space.Used - limit/100*lowMark, nil
}
