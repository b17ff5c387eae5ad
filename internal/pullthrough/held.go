package pullthrough

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/upstream"
)

// Shares are the projects that the upstream's pulls are shared out among.
func (c *Cache) Shares() []string { return c.Upstream.Shares() }

// heldBack says whose the pulls are that are left, and until when. Strangers are told no
// names of projects.
func (c *Cache) heldBack(what string, failure *upstream.Error) string {
	held := failure.Held
	until := c.clock(failure.RetryAfter)
	if held.Project != "" {
		return fmt.Sprintf("You have reached your pull rate limit, the budget that this registry's operator has set for project %s: %d pulls of %s in %s. %s is not in the cache; what is cached is served. Another pull is possible at %s",
			held.Project, held.Limit, c.Title, ratelimit.PlainDuration(held.Window), what, until)
	}
	for_, join := "projects of this registry, for their members who are logged in", "log in as one of them"
	if !held.Payer.Stranger() {
		for_, join = "project "+strings.Join(held.Reserves, " and project "), "pull as a member of such a project"
	}
	return fmt.Sprintf("You have reached your pull rate limit, %s's, upstream of project %s: %d of %d pulls are left, and this registry's operator has set them aside for %s. %s is not in the cache; what is cached is served. A pull for others comes free at about %s: try again then, or %s",
		c.Title, c.Project, max(0, held.Left), held.Limit, for_, what, until, join)
}

// clock is the time of day after a wait, with the date where that is not today's.
func (c *Cache) clock(wait time.Duration) string {
	now := c.Now().UTC()
	at := now.Add(wait)
	if at.YearDay() == now.YearDay() {
		return at.Format("15:04:05 MST")
	}
	return at.Format("2 Jan 15:04:05 MST")
}

// maxHeldJoins is how often a caller joins others whose pulls are held back, before it asks
// apart from them.
const maxHeldJoins = 8

// sharedFor is shared for a caller. One that was joined may have failed since pulls are held
// back from who began it: then the question is asked anew, once for all again.
func sharedFor[T any](ctx context.Context, c *Cache, caller oci.Caller, key string, limit time.Duration, fn func(context.Context) (T, error)) (value T, joined bool, err error) {
	for range maxHeldJoins {
		value, joined, err = shared(ctx, c, key, limit, fn)
		if !joined || !heldFromOther(err, caller) {
			return value, joined, err
		}
	}
	return shared(ctx, c, fmt.Sprintf("%s for %t %q %d", key, caller.Stranger(), caller.Shares, caller.Spares), limit, fn)
}

// heldFromOther tells whether a failure is that pulls are held back from somebody else, who
// has other shares of them: then it is worth asking again for the caller.
func heldFromOther(err error, caller oci.Caller) bool {
	held := upstream.HeldOf(err)
	return held != nil && (!slices.Equal(held.Payer.Shares, caller.Shares) || held.Payer.Stranger() != caller.Stranger() || held.Payer.Spares > caller.Spares)
}
