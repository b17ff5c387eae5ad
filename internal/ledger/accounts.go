package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// lookBack is how far back it is looked what an upstream said last.
	lookBack = 24 * time.Hour
	// maxPulls bounds the pulls that one account is judged by.
	maxPulls = 50_000
)

// Upstream is one that is configured.
type Upstream struct {
	Name, URL string
	// WarnAt are the levels, in percent of a limit, that are warned of.
	WarnAt []int
	// Credentials are those that it is asked with, in the order in which they are tried,
	// and strangers at last.
	Credentials []upstream.Budget
	// Reserves tells what is set aside of an account that is metered; nil: nothing is.
	Reserves func(a Account) []Reserve
	// Budgets are those of projects.
	Budgets []Budget
}

// Reserve is what is set aside of an account for the members of a project.
type Reserve struct {
	Project  string
	Reserved int64 // pulls in any window
	Spent    int64 // of them, in the window now
}

// Budget is how many pulls may be made for the members of a project.
type Budget struct {
	Project string
	Limit   ratelimit.Limit
	Spent   int64 // in the window now
}

// Account is what an upstream charges, and how it stands: a credential or, for strangers,
// the address that they come from.
type Account struct {
	Upstream, Credential string
	// Source is what the upstream itself calls the account, such as an address.
	Source string
	// Metered is true where the upstream told of a limit; else the fields up to Elsewhere
	// are zero. Asked is true where it has given something at all.
	Metered, Asked bool
	Limit          int64
	Left           int64 // negative when overdrawn
	Window         time.Duration
	// At is when the upstream was asked last for what it told of the limit.
	At time.Time
	// NextFree is when the next pull comes free, AllFree when all are if none is made.
	NextFree, AllFree time.Time
	// Burn is how many pulls are spent in an hour at the present rate.
	Burn float64
	// EmptyAt is when none is left at that rate; zero when it does not come to that.
	EmptyAt time.Time
	// Elsewhere is how many pulls others have spent with the same account.
	Elsewhere int64
	// RestsUntil is when pulls, or everything, is asked for again; zero: now.
	RestsUntil time.Time
	// Refused is true when the upstream refused the credential.
	Refused bool
	// Blocked is the host of a token service that must not see the credential, although
	// the upstream asks for it; empty otherwise.
	Blocked string
	// Reserves are what is set aside of it.
	Reserves []Reserve
}

// Share is what is left, between 0 and 1.
func (a Account) Share() float64 {
	return float64(max(0, a.Left)) / float64(max(1, a.Limit))
}

// Accounts tells how the accounts of an upstream stand now, in the order of its
// credentials. One without a limit is told once; strangers may be charged by several
// addresses.
func (l *Ledger) Accounts(ctx context.Context, u Upstream) ([]Account, error) {
	if err := l.Flush(ctx); err != nil {
		return nil, err
	}
	now := l.config.Now()
	observed, err := l.config.Store.Observations(ctx, u.Name, now.Add(-lookBack))
	if err != nil {
		return nil, err
	}
	var all []Account
	told := map[string]bool{} // one user name may stand for several passwords
	for _, c := range u.Credentials {
		if told[c.Credential] {
			continue
		}
		told[c.Credential] = true
		metered := current(observed, c.Credential, now)
		for _, o := range metered {
			a, err := l.account(ctx, o, now)
			if err != nil {
				return nil, err
			}
			if u.Reserves != nil && c.Project == "" {
				a.Reserves = u.Reserves(a)
			}
			all = append(all, a.standing(c))
		}
		if len(metered) > 0 {
			continue
		}
		asked, err := l.config.Store.Asked(ctx, u.Name, c.Credential, now.Add(-lookBack))
		if err != nil {
			return nil, err
		}
		all = append(all, Account{Upstream: u.Name, Credential: c.Credential, Asked: asked}.standing(c))
	}
	return all, nil
}

// current picks what was said of a credential within the limit's window, and else what was
// said last: addresses that strangers had before are not told of for ever.
func current(observed []metadata.LedgerObservation, credential string, now time.Time) (all []metadata.LedgerObservation) {
	var latest metadata.LedgerObservation
	for _, o := range observed {
		if o.Credential != credential {
			continue
		}
		if o.ID > latest.ID {
			latest = o
		}
		if now.Sub(o.At) < o.Window {
			all = append(all, o)
		}
	}
	if len(all) == 0 && latest.ID > 0 {
		all = append(all, latest)
	}
	return all
}

// standing is the account with what is known of its credential at this moment.
func (a Account) standing(c upstream.Budget) Account {
	a.Refused, a.Blocked, a.RestsUntil = c.Refused, c.Blocked, c.RestsUntil
	if c.AllRestsUntil.After(a.RestsUntil) {
		a.RestsUntil = c.AllRestsUntil
	}
	return a
}

// account works out how an account stands of which an upstream has said something.
func (l *Ledger) account(ctx context.Context, last metadata.LedgerObservation, now time.Time) (Account, error) {
	t, err := l.track(ctx, last, now)
	if err != nil {
		return Account{}, err
	}
	a := Account{
		Upstream: last.Upstream, Credential: last.Credential, Source: last.Source, Metered: true, Asked: true,
		Limit: t.limit, Left: t.left(now), Window: t.window, At: last.At,
		Burn: t.burn(now), EmptyAt: t.emptyAt(now), Elsewhere: max(0, int64(t.others(now)+0.5)),
	}
	a.NextFree, a.AllFree = t.free(now)
	return a, nil
}

func (l *Ledger) track(ctx context.Context, last metadata.LedgerObservation, now time.Time) (track, error) {
	window := last.Window
	if window == 0 {
		window = unsaidWindow
	}
	span := min(burnSpan, window)
	first, err := l.config.Store.FirstObservation(ctx, last.LedgerAccount, last.At.Add(-span))
	if errors.Is(err, metadata.ErrNotFound) {
		first, err = last, nil
	}
	if err != nil {
		return track{}, err
	}
	booked, err := l.config.Store.Charged(ctx, last.LedgerAccount, earlier(now, first.At).Add(-window), maxPulls)
	if err != nil {
		return track{}, err
	}
	return newTrack(last, first, booked), nil
}

func earlier(one, other time.Time) time.Time {
	if one.Before(other) {
		return one
	}
	return other
}
