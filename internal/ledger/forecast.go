package ledger

import "time"

const (
	// Burn is measured over the last hour, or the last burnPulls pulls where those took
	// longer; never over less than leastSpan, since a few pulls at once are no rate.
	burnSpan  = time.Hour
	burnPulls = 20
	leastSpan = time.Minute
	// driftSpan is how far apart observations have to be to tell what others burn.
	driftSpan = 10 * time.Minute
	// leastPulls is how many pulls it takes for a forecast.
	leastPulls = 5
)

// burn is how many pulls are spent in an hour, at the present rate: those of this registry,
// and by how many those of others grow.
func (t track) burn(now time.Time) float64 {
	return t.ownBurn(now) + t.drift
}

func (t track) ownBurn(now time.Time) float64 {
	spent := t.spent(now)
	gaps := 0 // between a pull and the next newer one, or now
	for gaps < len(spent)-1 && (gaps < burnPulls || spent[gaps+1].After(now.Add(-burnSpan))) {
		gaps++
	}
	if gaps == 0 {
		return 0
	}
	return float64(gaps) / max(now.Sub(spent[gaps]), leastSpan).Hours()
}

// emptyAt is when a pull will find that none is left, if pulls go on at the present rate,
// one after the other, while those that were made come free. It is zero when that does not
// come to pass within a window: then it never does at this rate. It is now when none is
// left already.
func (t track) emptyAt(now time.Time) time.Time {
	left := t.left(now)
	if left <= 0 {
		return now
	}
	spent := t.spent(now)
	rate := t.burn(now)
	if rate == 0 || len(spent) < leastPulls && t.drift == 0 {
		return time.Time{}
	}
	gap := max(time.Duration(float64(time.Hour)/rate), time.Millisecond)
	at := now
	if len(spent) > 0 && t.drift == 0 && spent[0].Add(gap).After(now) {
		at = spent[0].Add(gap)
	}
	oldest := len(spent) - 1
	for ; at.Before(now.Add(t.window)); at = at.Add(gap) {
		for ; oldest >= 0 && !spent[oldest].Add(t.window).After(at); oldest-- {
			left++
		}
		if left <= 0 {
			return at
		}
		left--
	}
	return time.Time{}
}
