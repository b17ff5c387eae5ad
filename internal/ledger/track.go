package ledger

import (
	"math"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// unsaidWindow is taken for a limit whose window the upstream does not tell.
const unsaidWindow = 6 * time.Hour

// track is what is known of how an account's pulls were spent: what this registry has
// booked, held against what the upstream has said.
type track struct {
	limit  int64
	window time.Duration
	// observed is when the upstream said something last.
	observed time.Time
	// pulls are when this registry spent them, as the upstream counts, the newest first.
	pulls []time.Time
	// elsewhere is how many more the upstream had counted than were booked: others use
	// the same account. Below zero it counts fewer than were booked.
	elsewhere float64
	// drift is by how many that grows in an hour.
	drift float64
	// byImage is true when the upstream counts by architecture rather than by requests.
	byImage bool
}

// newTrack holds the booked pulls, the newest first, against what was observed last, and
// first in the time that burn is measured over; that may be the same.
func newTrack(last, first metadata.LedgerObservation, booked []metadata.LedgerPull) track {
	if last.Window == 0 {
		last.Window = unsaidWindow
	}
	t := track{limit: last.Limit, window: last.Window, observed: last.At}
	used := last.Limit - last.Remaining
	requests, images := t.countBooked(booked, last, false), t.countBooked(booked, last, true)
	t.byImage = abs(used-images) < abs(used-requests)
	t.elsewhere = float64(used - t.countBooked(booked, last, t.byImage))
	if span := last.At.Sub(first.At); span >= driftSpan && first.Limit == last.Limit {
		before := float64(first.Limit - first.Remaining - t.countBooked(booked, first, t.byImage))
		t.drift = max(0, (t.elsewhere-before)/span.Hours())
	}
	for _, p := range booked {
		if p.Image || !t.byImage {
			t.pulls = append(t.pulls, p.At)
		}
	}
	return t
}

// countBooked counts the pulls that had been booked when the upstream said something, and
// that were in its window then.
func (t track) countBooked(booked []metadata.LedgerPull, o metadata.LedgerObservation, images bool) (count int64) {
	for _, p := range booked {
		if p.ID <= o.ID && p.At.After(o.At.Add(-t.window)) && (p.Image || !images) {
			count++
		}
	}
	return count
}

// spent lists the pulls that are in the window now, the newest first.
func (t track) spent(now time.Time) []time.Time {
	for i, at := range t.pulls {
		if !at.After(now.Add(-t.window)) {
			return t.pulls[:i]
		}
	}
	return t.pulls
}

// others is what others have used now. When they did is not known, so it is taken to
// come free evenly.
func (t track) others(now time.Time) float64 {
	age := now.Sub(t.observed).Hours() / t.window.Hours()
	return t.elsewhere * min(1, max(0, 1-age))
}

// left is how many pulls are left now; below zero the account is overdrawn.
func (t track) left(now time.Time) int64 {
	return min(t.limit, t.limit-int64(len(t.spent(now)))-int64(math.Round(t.others(now))))
}

// free tells when the next pull comes free, and when all of them are if none is made;
// zero where that is now.
func (t track) free(now time.Time) (next, all time.Time) {
	if spent := t.spent(now); len(spent) > 0 {
		next, all = spent[len(spent)-1].Add(t.window), spent[0].Add(t.window)
	}
	if until := t.observed.Add(t.window); t.others(now) >= 0.5 && until.After(all) {
		all = until
	}
	return next, all
}

func abs(n int64) int64 { return max(n, -n) }
