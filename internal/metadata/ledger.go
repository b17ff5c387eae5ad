package metadata

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"
)

// LedgerCall is one request to an upstream, and on whose behalf it was made.
type LedgerCall struct {
	ID         int64 // given by the database, growing
	At         time.Time
	Upstream   string
	Credential string // user name, or anonymous
	Kind       string
	Repository string // by its name upstream
	Reference  string
	Status     int // 0 when there was no answer
	Bytes      int64
	// Counted is true for a pull by requests, Image for one by architecture.
	Counted, Image bool
	// Rate is what the answer said of the limit; nil when it said nothing.
	Rate    *LedgerRate
	User    string // "" for a stranger
	Project string
	Client  string // address, or network of a client
	// Namespace and Workload are a cluster's.
	Namespace, Workload string
	// Certain is true when the user was logged in, false when it was inferred.
	Certain bool
}

// LedgerRate is what an upstream said of a pull limit.
type LedgerRate struct {
	Limit, Remaining int64
	Window           time.Duration
	Source           string // whom it charges
}

// Ledger keeps what upstreams were asked for: each call for a while, and sums of every
// hour for longer.
type Ledger struct{ store *store }

// Book adds calls, and adds them to the sums of their hours, all or none. Their IDs are
// ignored.
func (ls *Ledger) Book(ctx context.Context, calls []LedgerCall) error {
	if len(calls) == 0 {
		return nil
	}
	err := ls.store.update(ctx, func(tx *sql.Tx) error {
		if err := insertCalls(ctx, tx, calls); err != nil {
			return err
		}
		return addHours(ctx, tx, calls)
	})
	if err != nil {
		return failed(err, "booking %d calls", len(calls))
	}
	return nil
}

func insertCalls(ctx context.Context, tx *sql.Tx, calls []LedgerCall) error {
	insert, err := tx.PrepareContext(ctx, `
		INSERT INTO ledger_calls (at, upstream, credential, kind, repository, reference, status, bytes, counted, image,
			rate_limit, remaining, rate_window, source, user_name, project, client, namespace, workload, certain)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`)
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	for _, c := range calls {
		var limit, remaining, window sql.NullInt64
		var source string
		if c.Rate != nil {
			limit, remaining = sql.NullInt64{Int64: c.Rate.Limit, Valid: true}, sql.NullInt64{Int64: c.Rate.Remaining, Valid: true}
			window, source = sql.NullInt64{Int64: c.Rate.Window.Microseconds(), Valid: true}, c.Rate.Source
		}
		if _, err := insert.ExecContext(ctx, stamp{c.At}, c.Upstream, c.Credential, c.Kind, c.Repository, c.Reference, c.Status, c.Bytes, c.Counted, c.Image,
			limit, remaining, window, source, c.User, c.Project, c.Client, c.Namespace, c.Workload, c.Certain); err != nil {
			return err
		}
	}
	return nil
}

// ledgerHour is what the sums of an hour are kept by.
type ledgerHour struct {
	hour                                                             time.Time
	upstream, credential, kind, repository, user, project, namespace string
	certain                                                          bool
}

func hourOf(c LedgerCall) ledgerHour {
	return ledgerHour{
		hour: c.At.UTC().Truncate(time.Hour), upstream: c.Upstream, credential: c.Credential, kind: c.Kind, repository: c.Repository,
		user: c.User, project: c.Project, namespace: c.Namespace, certain: c.Certain,
	}
}

func (h ledgerHour) compare(other ledgerHour) int {
	return cmp.Or(
		h.hour.Compare(other.hour), cmp.Compare(h.upstream, other.upstream), cmp.Compare(h.credential, other.credential),
		cmp.Compare(h.kind, other.kind), cmp.Compare(h.repository, other.repository), cmp.Compare(h.user, other.user),
		cmp.Compare(h.project, other.project), cmp.Compare(h.namespace, other.namespace), cmp.Compare(h.certainty(), other.certainty()),
	)
}

func (h ledgerHour) certainty() int {
	if h.certain {
		return 1
	}
	return 0
}

// addHours adds calls to the sums of their hours: in one order everywhere, or replicas
// would wait for each other's rows.
func addHours(ctx context.Context, tx *sql.Tx, calls []LedgerCall) error {
	sums := map[ledgerHour]*LedgerSum{}
	for _, c := range calls {
		of := hourOf(c)
		if sums[of] == nil {
			sums[of] = &LedgerSum{}
		}
		sums[of].add(c)
	}
	ordered := make([]ledgerHour, 0, len(sums))
	for of := range sums {
		ordered = append(ordered, of)
	}
	slices.SortFunc(ordered, ledgerHour.compare)
	add, err := tx.PrepareContext(ctx, `
		INSERT INTO ledger_hours AS h (hour, upstream, credential, kind, repository, user_name, project, namespace, certain,
			calls, pulls, metered, images, refused, bytes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (hour, upstream, credential, kind, repository, user_name, project, namespace, certain) DO UPDATE SET
			calls = h.calls + excluded.calls, pulls = h.pulls + excluded.pulls, metered = h.metered + excluded.metered,
			images = h.images + excluded.images, refused = h.refused + excluded.refused, bytes = h.bytes + excluded.bytes`)
	if err != nil {
		return err
	}
	defer func() { _ = add.Close() }()
	for _, of := range ordered {
		s := sums[of]
		if _, err := add.ExecContext(ctx, stamp{of.hour}, of.upstream, of.credential, of.kind, of.repository, of.user, of.project, of.namespace, of.certain,
			s.Calls, s.Pulls, s.Metered, s.Images, s.Refused, s.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// LedgerQuery says which calls of an upstream are asked for; zero fields ask for all.
type LedgerQuery struct {
	Upstream string
	Since    time.Time // none that are older
	Before   int64     // none that are as new as the one with this ID
	Limit    int       // how many at most
}

// Calls tells of calls, the newest first.
func (ls *Ledger) Calls(ctx context.Context, q LedgerQuery) ([]LedgerCall, error) {
	if q.Before == 0 {
		q.Before = 1<<63 - 1
	}
	all, err := list(ctx, ls.store, scanLedgerCall, `
		SELECT id, at, upstream, credential, kind, repository, reference, status, bytes, counted, image,
			rate_limit, remaining, rate_window, source, user_name, project, client, namespace, workload, certain
		FROM ledger_calls WHERE upstream = $1 AND at >= $2 AND id < $3 ORDER BY id DESC LIMIT $4`,
		q.Upstream, q.Since.UnixMicro(), q.Before, q.Limit)
	if err != nil {
		return nil, failed(err, "reading the ledger of upstream %s", q.Upstream)
	}
	return all, nil
}

func scanLedgerCall(r row) (LedgerCall, error) {
	var c LedgerCall
	var limit, remaining, window sql.NullInt64
	var source string
	err := r.Scan(&c.ID, scanStamp{&c.At}, &c.Upstream, &c.Credential, &c.Kind, &c.Repository, &c.Reference, &c.Status, &c.Bytes, &c.Counted, &c.Image,
		&limit, &remaining, &window, &source, &c.User, &c.Project, &c.Client, &c.Namespace, &c.Workload, &c.Certain)
	if limit.Valid {
		c.Rate = &LedgerRate{Limit: limit.Int64, Remaining: remaining.Int64, Window: time.Duration(window.Int64) * time.Microsecond, Source: source}
	}
	return c, err
}

// DeleteCalls removes at most limit calls that are older than a time, the oldest first, and
// tells how many it removed. The sums of their hours stay.
func (ls *Ledger) DeleteCalls(ctx context.Context, before time.Time, limit int) (deleted int64, err error) {
	deleted, err = ls.store.change(ctx, `
		DELETE FROM ledger_calls WHERE id IN (SELECT id FROM ledger_calls WHERE at < $1 ORDER BY at LIMIT $2)`, stamp{before}, limit)
	if err != nil {
		return 0, failed(err, "shortening the ledger")
	}
	return deleted, nil
}

// DeleteHour removes the sums of the oldest hour, if it began before a time, and tells how
// many they were.
func (ls *Ledger) DeleteHour(ctx context.Context, before time.Time) (deleted int64, err error) {
	deleted, err = ls.store.change(ctx, `
		DELETE FROM ledger_hours WHERE hour < $1 AND hour = (SELECT min(hour) FROM ledger_hours)`, stamp{before})
	if err != nil {
		return 0, failed(err, "shortening the ledger's sums")
	}
	return deleted, nil
}
