package fairshare

import (
	"time"

	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// freshFor is how long it is trusted what an account has left: others spend it too.
	// Where much is left, and no other process spends it, it is trusted for plentyFor.
	freshFor  = time.Second
	plentyFor = time.Minute
	// unsaidWindow is taken for a limit whose window the upstream does not tell.
	unsaidWindow = 6 * time.Hour
	// maxLimit bounds the limit that an upstream may tell.
	maxLimit = 1_000_000_000
)

// account is what is known of what a credential, or the lack of one, has left.
type account struct {
	source string
	limit  ratelimit.Limit
	// left is what there will be once all pulls under way have been counted.
	left int64
	said bool
	at   time.Time // when the upstream told of it last
	// pending is how many pulls are under way, completed how many have been.
	pending   int64
	completed int64
}

// sure tells whether what is known will do to decide by: open is how much of it is set
// aside for nobody, and shared whether other processes spend it.
func (a *account) sure(now time.Time, open int64, shared bool) bool {
	trusted := freshFor
	if !shared && open > int64(a.limit.Most)/4 {
		trusted = plentyFor
	}
	age := now.Sub(a.at)
	return a.said && age >= 0 && age < trusted
}

// note takes over what the upstream said in an answer. Overlapping is how many other pulls
// were under way at some time between the question and the answer: of each of them it is
// not known whether the upstream had counted it. So what is known stays as it is, as long
// as it is within what was said.
func (a *account) note(said upstream.Rate, overlapping int64, now time.Time) {
	limit := ratelimit.Limit{Most: int(min(max(said.Limit, 1), maxLimit)), Window: said.Window}
	if limit.Window <= 0 {
		limit.Window = unsaidWindow
	}
	least := said.Remaining - overlapping
	if !a.said || a.source != said.Source {
		a.left = least
	}
	a.left = min(max(a.left, least), said.Remaining)
	a.said, a.source, a.limit, a.at = true, said.Source, limit, now
}
