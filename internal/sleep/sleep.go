// Package sleep waits for a time, as long as a context lasts.
package sleep

import (
	"context"
	"math/rand/v2"
	"time"
)

// For waits. The error is the context's cause, when that has ended by then, however short
// the time is.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// About waits for between half of the time and one and a half, so that many who failed at
// once do not try again at once.
func About(ctx context.Context, d time.Duration) error {
	return For(ctx, d/2+rand.N(max(d, 1))) //nolint:gosec // spreading retries needs no secrecy
}

// UpTo waits for between half of the time and all of it, for the same reason where the time
// is a bound.
func UpTo(ctx context.Context, d time.Duration) error {
	return For(ctx, d/2+rand.N(d/2+1)) //nolint:gosec // spreading retries needs no secrecy
}
