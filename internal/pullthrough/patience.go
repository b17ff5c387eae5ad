package pullthrough

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// maxLists bounds what is remembered of lists.
const maxLists = 20_000

// lastList is what came of asking the upstream for a list when something held could
// be served instead. The list itself is not kept.
type lastList struct {
	at time.Time
	// failure is nil when the list came, only later than anybody had waited for it.
	failure error
}

// earlier is a failure that the log has heard of from who met it first.
type earlier struct{ error }

func (e earlier) Unwrap() error { return e.error }

// list asks the upstream for a list, once for all who ask the same. Where something
// held can be served instead, nobody waits longer for it than for a freshness check,
// and after a failure nobody waits again for the TTL.
func list[T any](ctx context.Context, c *Cache, what string, held bool, get func(context.Context) (T, error)) (answer T, joined bool, err error) {
	if !held {
		return shared(ctx, c, what, c.Limits.Fetch, get)
	}
	key := digest.FromString(what) // the client chose part of it, at any length
	last, known := c.lists.GetIfPresent(key)
	known = known && within(c.Now(), last.at, c.TagTTL)
	if known && last.failure != nil {
		return answer, false, earlier{last.failure}
	}
	patience := c.Limits.Patience
	if known { // a slow upstream is waited for, so that its list is seen at all
		patience = c.Limits.MovePatience
	}
	running, joined, err := begin(c, what, c.Limits.Check, func(ctx context.Context) (T, error) {
		began := time.Now()
		answer, err := get(ctx)
		c.noteList(key, time.Since(began), err)
		return answer, err
	})
	if err != nil {
		return answer, false, err
	}
	// Counted from its beginning: who comes late does not wait all over again.
	waiting, cancel := context.WithDeadline(ctx, running.began.Add(patience))
	defer cancel()
	answer, err = await[T](waiting, running)
	if err != nil && joined {
		err = earlier{err}
	}
	return answer, joined, err
}

// noteList remembers what the next who ask have to know.
func (c *Cache) noteList(key digest.Digest, took time.Duration, failure error) {
	if failure == nil && took <= c.Limits.Patience {
		c.lists.Invalidate(key)
		return
	}
	c.lists.Set(key, lastList{c.Now(), failure})
}
