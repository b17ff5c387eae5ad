package warm

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// resting tells whether an upstream is to be left alone now.
func (r *Refresher) resting(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	until := r.rests[name].until
	return r.Now().Before(until)
}

// settle lets an upstream rest that failed, longer each time, or that has too few pulls left,
// until some may have come free. The log hears of failures in a row once.
func (r *Refresher) settle(ctx context.Context, name string, asked int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.rests, name)
		r.Log.Debug("tags were refreshed", "upstream", name, "asked", asked)
		return
	}
	is, pause := r.rests[name], leastRest
	if upstream.HeldOf(err) != nil {
		is.failures = 0
		r.Log.Debug("tags are not refreshed while the upstream has few pulls left", "upstream", name, "error", err)
	} else {
		level := slog.LevelWarn
		if is.failures > 0 {
			level = slog.LevelDebug
		}
		r.Log.Log(ctx, level, "tags could not be refreshed; it is tried again, less and less often", "upstream", name, "error", err)
		pause = min(leastRest<<min(is.failures, 10), longestRest)
		is.failures++
	}
	if failure, ok := errors.AsType[*upstream.Error](err); ok {
		pause = min(max(pause, failure.RetryAfter), longestRest)
	}
	is.until = r.Now().Add(pause)
	r.rests[name] = is
}

// refused notes that an upstream does not show a tag. When too many are noted all are
// forgotten: to ask for them again costs no more than HEADs.
func (r *Refresher) refused(tag metadata.TagName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.refusals) >= maxRefusals {
		clear(r.refusals)
	}
	r.refusals[tag] = r.Now()
}

// refusedLately tells whether a tag was not shown within the time after which it is asked for
// again.
func (r *Refresher) refusedLately(tag metadata.TagName, every time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, refused := r.refusals[tag]
	if refused && r.Now().Sub(at) >= every {
		delete(r.refusals, tag)
		return false
	}
	return refused
}
