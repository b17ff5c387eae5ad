package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/telemetry"
)

const (
	// watchEvery is how often it is looked how accounts stand.
	watchEvery = 15 * time.Second
	// rearmAbove is by how many percent of its limit an account has to be above a level
	// before it is warned of that level again.
	rearmAbove = 5
)

// stand is the lowest level that an account has fallen to, and the lowest that it has not
// risen well above.
type stand struct{ fallen, risen int }

// Warning says that what is left of an account has fallen to a level.
type Warning struct {
	Account
	Level int // percent of the limit
}

// String says it in a sentence without an end.
func (w Warning) String() string {
	text := fmt.Sprintf("%d of %d pulls are left to %s at upstream %s, %d%% or less", w.Left, w.Limit, w.Credential, w.Upstream, w.Level)
	if !w.EmptyAt.IsZero() && w.Left > 0 {
		text += "; at the present rate none is left at " + w.EmptyAt.UTC().Format("15:04 MST")
	}
	return text
}

// Watch looks again and again how accounts stand, measures it, and warns, until ctx ends.
func (l *Ledger) Watch(ctx context.Context) {
	telemetry.Repeat(ctx, l.config.Every, l.Look, func(err error) {
		l.config.Log.Warn("what upstreams have left could not be found out; it is tried again and again", "error", err)
	})
}

// Look looks once.
func (l *Ledger) Look(ctx context.Context) error {
	l.looking.Lock()
	defer l.looking.Unlock()
	var all []Status
	for _, u := range l.config.Upstreams() {
		accounts, err := l.Accounts(ctx, u)
		if err != nil {
			return err
		}
		for _, a := range accounts {
			if err := l.warn(ctx, a, u.WarnAt); err != nil {
				return err
			}
		}
		all = append(all, Status{Upstream: u, Accounts: accounts})
	}
	l.config.Metrics.set(all, l.config.Now())
	return nil
}

// warn tells once when an account has fallen to a level. Other processes may look at the
// same account: one of them tells.
func (l *Ledger) warn(ctx context.Context, a Account, levels []int) error {
	if !a.Metered || len(levels) == 0 {
		return nil
	}
	of := metadata.LedgerAccount{Upstream: a.Upstream, Credential: a.Credential, Source: a.Source}
	percent := 100 * a.Share()
	now := stand{fallen: reached(levels, percent), risen: reached(levels, percent-rearmAbove)}
	if l.stands[of] == now {
		return nil
	}
	if err := l.config.Store.Rearm(ctx, of, now.risen); err != nil {
		return err
	}
	if now.fallen == metadata.Unwarned {
		l.stands[of] = now
		return nil
	}
	w := Warning{Account: a, Level: now.fallen}
	first, err := l.config.Store.Warn(ctx, of, w.Level, l.config.Now(), w.String())
	if err != nil {
		return err
	}
	l.stands[of] = now
	if !first {
		return nil
	}
	l.config.Log.Warn("an upstream's pull limit is running low", "upstream", a.Upstream, "credential", a.Credential, "source", a.Source,
		"left", a.Left, "limit", a.Limit, "level", w.Level, "empty_at", a.EmptyAt)
	l.config.Metrics.warned(w)
	l.config.Warn(ctx, w)
	return nil
}

// reached is the lowest level that so many percent have fallen to.
func reached(levels []int, percent float64) int {
	for _, level := range slices.Sorted(slices.Values(levels)) {
		if percent <= float64(level) {
			return level
		}
	}
	return metadata.Unwarned
}
