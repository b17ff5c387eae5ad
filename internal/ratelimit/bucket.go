// Package ratelimit is the arithmetic of limits: it keeps nothing and asks no clock.
package ratelimit

import "time"

// Bucket lets something happen Burst times at once, and once more after each Every. All
// that has to be remembered is one time, at which the bucket is full again (the generic
// cell rate algorithm, ITU-T I.371); the zero time is a full bucket.
type Bucket struct {
	Burst int
	Every time.Duration
}

// Take takes one out of a bucket that is full again at a time. It returns when it is full
// then, and how long to wait, in which case nothing was taken.
func (b Bucket) Take(full, now time.Time) (then time.Time, wait time.Duration) {
	if full.Before(now) {
		full = now
	}
	if empty := now.Add(time.Duration(b.Burst) * b.Every); full.After(empty) {
		full = empty // the clock was set back
	}
	then = full.Add(b.Every)
	if wait = then.Sub(now) - time.Duration(b.Burst)*b.Every; wait > 0 {
		return full, wait
	}
	return then, 0
}

// Return puts back what was taken.
func (b Bucket) Return(full time.Time) time.Time { return full.Add(-b.Every) }
