package rewriting

import (
	"context"
	"log/slog"
	"time"

	"github.com/larder-registry/larder/internal/mirror"
)

// readyLimit is how long Larder may take to say whether it is ready.
const readyLimit = 5 * time.Second

// turner is a Switch.
type turner interface {
	Turn(ctx context.Context, from, to string) (bool, error)
}

// Watcher turns the policy off while Larder is not ready, and on again afterwards. What
// somebody else has turned off is never turned on.
type Watcher struct {
	Switch turner
	// Ready asks Larder; nil means that it is ready to serve images.
	Ready func(context.Context) error
	// Every is how often it is asked.
	Every time.Duration
	// OffAfter is how long it has to be unready without a pause before the policy is turned
	// off, OnAfter how long it has to be ready before it is turned on.
	OffAfter, OnAfter time.Duration
	// Log hears of each change.
	Log *slog.Logger
}

// streak is since when Larder is ready, or is not.
type streak struct {
	ready  bool
	since  time.Time
	failed string // why the switch was not turned, as it was said last
}

// Run watches until ctx ends.
func (w Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	now := streak{ready: true, since: time.Now()}
	for {
		w.look(ctx, &now)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w Watcher) look(ctx context.Context, now *streak) {
	asking, cancel := context.WithTimeout(ctx, readyLimit)
	err := w.Ready(asking)
	cancel()
	if ctx.Err() != nil {
		return
	}
	if ready := err == nil; ready != now.ready {
		now.ready, now.since = ready, time.Now()
		w.Log.Info("larder's readiness has changed", "ready", ready, "error", err)
	}
	switch lasts := time.Since(now.since); {
	case !now.ready && lasts >= w.OffAfter:
		w.turn(ctx, now, mirror.On, mirror.Unready, "the policy is turned off: new pods keep the images that they were given")
	case now.ready && lasts >= w.OnAfter:
		w.turn(ctx, now, mirror.Unready, mirror.On, "the policy is turned on again")
	}
}

// turn is tried again at each look, and says the same failure once.
func (w Watcher) turn(ctx context.Context, now *streak, from, to, done string) {
	turned, err := w.Switch.Turn(ctx, from, to)
	switch {
	case err != nil && err.Error() != now.failed:
		now.failed = err.Error()
		w.Log.Warn("the policy cannot be turned, and is tried again", "error", err)
	case err == nil:
		now.failed = ""
	}
	if turned {
		w.Log.Warn(done, "since", now.since)
	}
}
