package metadata

import (
	"context"
	"time"
)

// LedgerAccount is whom an upstream charges: a credential, and what the upstream itself
// calls it, which for strangers is their address.
type LedgerAccount struct{ Upstream, Credential, Source string }

// LedgerObservation is what an upstream said of an account's limit, and when it was asked.
type LedgerObservation struct {
	LedgerAccount
	ID               int64 // of the call; what was booked before has a smaller one
	At               time.Time
	Limit, Remaining int64
	Window           time.Duration
}

const observation = "id, upstream, credential, source, at, rate_limit, remaining, rate_window"

// Observations tells of each account of an upstream that was asked with since a time what
// it said last.
func (ls *Ledger) Observations(ctx context.Context, upstream string, since time.Time) ([]LedgerObservation, error) {
	all, err := list(ctx, ls.store, scanObservation, `
		SELECT `+observation+` FROM ledger_calls WHERE id IN (
			SELECT max(id) FROM ledger_calls
			WHERE upstream = $1 AND at >= $2 AND rate_limit IS NOT NULL GROUP BY credential, source
		) ORDER BY credential, source`, upstream, since.UnixMicro())
	if err != nil {
		return nil, failed(err, "reading what upstream %s said of its limits", upstream)
	}
	return all, nil
}

// FirstObservation is the first thing that an upstream said of an account since a time.
// ErrNotFound says that it said nothing.
func (ls *Ledger) FirstObservation(ctx context.Context, of LedgerAccount, since time.Time) (LedgerObservation, error) {
	first, err := one(ctx, ls.store, scanObservation, `
		SELECT `+observation+` FROM ledger_calls
		WHERE upstream = $1 AND credential = $2 AND source = $3 AND at >= $4 AND rate_limit IS NOT NULL
		ORDER BY at, id LIMIT 1`, of.Upstream, of.Credential, of.Source, since.UnixMicro())
	if err != nil {
		return LedgerObservation{}, failed(err, "reading what upstream %s said of its limits", of.Upstream)
	}
	return first, nil
}

func scanObservation(r row) (LedgerObservation, error) {
	var o LedgerObservation
	var micros int64
	err := r.Scan(&o.ID, &o.Upstream, &o.Credential, &o.Source, scanStamp{&o.At}, &o.Limit, &o.Remaining, &micros)
	o.Window = time.Duration(micros) * time.Microsecond
	return o, err
}

// LedgerPull is a call that an account was charged for.
type LedgerPull struct {
	ID    int64
	At    time.Time
	Image bool // by architecture too
}

// Charged lists the metered pulls of an account since a time, the newest first and at most
// limit.
func (ls *Ledger) Charged(ctx context.Context, of LedgerAccount, since time.Time, limit int) ([]LedgerPull, error) {
	all, err := list(ctx, ls.store, func(r row) (LedgerPull, error) {
		var p LedgerPull
		err := r.Scan(&p.ID, scanStamp{&p.At}, &p.Image)
		return p, err
	}, `
		SELECT id, at, image FROM ledger_calls
		WHERE upstream = $1 AND credential = $2 AND source = $3 AND at >= $4 AND rate_limit IS NOT NULL AND counted
		ORDER BY at DESC, id DESC LIMIT $5`, of.Upstream, of.Credential, of.Source, since.UnixMicro(), limit)
	if err != nil {
		return nil, failed(err, "reading the pulls of an account of upstream %s", of.Upstream)
	}
	return all, nil
}

// Asked tells whether an upstream has given something to a credential since a time.
func (ls *Ledger) Asked(ctx context.Context, upstream, credential string, since time.Time) (bool, error) {
	asked, err := ls.store.yes(ctx, `
		SELECT EXISTS (SELECT 1 FROM ledger_calls
			WHERE upstream = $1 AND at >= $2 AND credential = $3 AND status = 200 AND kind IN ('manifest_get', 'manifest_head'))`,
		upstream, since.UnixMicro(), credential)
	if err != nil {
		return false, failed(err, "looking whether upstream %s was asked", upstream)
	}
	return asked, nil
}
