package ratelimit

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxWindow is the longest window of a limit.
	MaxWindow = 31 * 24 * time.Hour
	// maxMost is the largest number that a limit may allow.
	maxMost = 1_000_000_000
	// exactMarks is how many single times a history has to keep for a limit. Above it,
	// times are rounded up to as many parts of the window.
	exactMarks = 1000
)

// Limit is how many times something may happen within any window of time, wherever the
// window begins. The zero value is no limit.
type Limit struct {
	Most   int
	Window time.Duration
}

// Unlimited tells whether there is no limit.
func (l Limit) Unlimited() bool { return l.Most == 0 }

// Bucket is a bucket with as much at once, and as much in the long run. In a window it may
// give nearly twice as much: what it held, and what flowed into it.
func (l Limit) Bucket() Bucket {
	return Bucket{Burst: l.Most, Every: l.Window / time.Duration(l.Most)}
}

// ParseLimit reads N/WINDOW as in 100/6h, with the window as time.ParseDuration has it, in
// whole seconds. The error says what is wrong in words that can follow the text.
func ParseLimit(text string) (Limit, error) {
	number, length, ok := strings.Cut(text, "/")
	if !ok {
		return Limit{}, errors.New("is not a number and a window with a slash between")
	}
	most, err := strconv.ParseInt(number, 10, 64)
	if err != nil || most < 1 || most > maxMost {
		return Limit{}, errors.New("has no number between 1 and " + strconv.Itoa(maxMost) + " before the slash")
	}
	window, err := time.ParseDuration(length)
	if err != nil || window < time.Second || window > MaxWindow || window%time.Second != 0 {
		return Limit{}, errors.New("has no window after the slash, which is a duration in whole seconds, from 1s to " + PlainDuration(MaxWindow))
	}
	return Limit{Most: int(most), Window: window}, nil
}

// String is what ParseLimit reads, or "unlimited".
func (l Limit) String() string {
	if l.Unlimited() {
		return "unlimited"
	}
	return strconv.Itoa(l.Most) + "/" + PlainDuration(l.Window)
}

// PlainDuration leaves out the units that are zero at a duration's end: 6h, not 6h0m0s.
func PlainDuration(d time.Duration) string {
	text := d.String()
	if cut, ok := strings.CutSuffix(text, "m0s"); ok {
		text = cut + "m"
	}
	if cut, ok := strings.CutSuffix(text, "h0m"); ok {
		text = cut + "h"
	}
	return text
}

// Above tells whether the limit lets more happen in the long run than another one, or as
// much and more of it at once.
func (l Limit) Above(other Limit) bool {
	switch {
	case l.Unlimited() || other.Unlimited():
		return l.Unlimited() && !other.Unlimited()
	case l.rate() != other.rate():
		return l.rate() > other.rate()
	}
	return l.Most > other.Most
}

func (l Limit) rate() float64 { return float64(l.Most) / l.Window.Seconds() }

// granule is what times are rounded up to, in nanoseconds.
func (l Limit) granule() int64 {
	if l.Most <= exactMarks {
		return 1
	}
	return l.Window.Nanoseconds() / exactMarks
}

// Wait tells how long it takes until one more may happen after what the histories hold;
// zero: it may happen now. What has left the window must have been forgotten.
func (l Limit) Wait(now time.Time, all ...*History) time.Duration {
	over := 1 - l.Most
	for _, h := range all {
		over += h.total
	}
	if l.Unlimited() || over <= 0 {
		return 0
	}
	heads := make([]int, len(all))
	last := int64(math.MinInt64)
	for over > 0 {
		oldest := -1
		for i, h := range all {
			if heads[i] < len(h.marks) && (oldest < 0 || h.marks[heads[i]].at < all[oldest].marks[heads[oldest]].at) {
				oldest = i
			}
		}
		mark := all[oldest].marks[heads[oldest]]
		heads[oldest]++
		over -= mark.count
		last = mark.at
	}
	return max(0, time.Unix(0, last).Add(l.Window).Sub(now))
}
