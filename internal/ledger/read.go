package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// Status is an upstream and how its accounts stand.
type Status struct {
	Upstream
	Accounts []Account
}

// Status tells how all configured upstreams stand now, in the order of the configuration.
func (l *Ledger) Status(ctx context.Context) ([]Status, error) {
	var all []Status
	for _, u := range l.config.Upstreams() {
		accounts, err := l.Accounts(ctx, u)
		if err != nil {
			return nil, err
		}
		all = append(all, Status{Upstream: u, Accounts: accounts})
	}
	return all, nil
}

// Configured tells whether there is an upstream of that name now.
func (l *Ledger) Configured(name string) bool {
	return slices.ContainsFunc(l.config.Upstreams(), func(u Upstream) bool { return u.Name == name })
}

// Calls tells of single calls, those of the last moment included, the newest first.
func (l *Ledger) Calls(ctx context.Context, q metadata.LedgerQuery) ([]metadata.LedgerCall, error) {
	if err := l.Flush(ctx); err != nil {
		return nil, err
	}
	return l.config.Store.Calls(ctx, q)
}

// Sums adds up the calls of an upstream since a time, by a key, the most pulls first.
// Where single calls are not kept for that long, whole hours are added up, from the one on
// that the time is in. Namespaces were inferred, so that none of theirs is certain. Clients
// are known for as long as single calls are kept.
func (l *Ledger) Sums(ctx context.Context, upstream string, by metadata.LedgerKey, since time.Time, limit int) (sums []metadata.LedgerSum, hours bool, err error) {
	if err := l.Flush(ctx); err != nil {
		return nil, false, err
	}
	hours = by != metadata.LedgerClient && since.Before(l.config.Now().Add(-l.config.Keep))
	if hours {
		sums, err = l.config.Store.HourSums(ctx, upstream, by, since, limit)
	} else {
		sums, err = l.config.Store.Sums(ctx, upstream, by, since, limit)
	}
	if by == metadata.LedgerNamespace {
		for i := range sums {
			sums[i].Certain = 0
		}
	}
	return sums, hours, err
}
