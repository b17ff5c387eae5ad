package metadata

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"
)

// LimitCounter is what one process has counted of one subject of a limit.
type LimitCounter struct {
	Subject string
	Holder  string // unique to the process
	// Content is the count, in a form that its holder chooses.
	Content []byte
	// ChangedAt is when the row was last written, by the database's clock. Put sets it.
	ChangedAt time.Time
	// ExpiresAt is when nothing that was counted matters any more.
	ExpiresAt time.Time
}

// LimitCounters keeps what limits have counted.
type LimitCounters struct{ store *store }

// Put writes counters in place of those with the same subject and holder, all or none.
func (lc *LimitCounters) Put(ctx context.Context, counters []LimitCounter) error {
	if len(counters) == 0 {
		return nil
	}
	ordered := slices.SortedFunc(slices.Values(counters), func(a, b LimitCounter) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Holder, b.Holder))
	})
	err := lc.store.update(ctx, func(tx *sql.Tx) error {
		for _, c := range ordered {
			_, err := change(ctx, tx, `
				INSERT INTO limit_counters (subject, holder, content, changed_at, expires_at)
				VALUES ($1, $2, $3, `+lc.store.clock+`, $4)
				ON CONFLICT (subject, holder) DO UPDATE SET
					content = excluded.content, changed_at = excluded.changed_at, expires_at = excluded.expires_at`,
				c.Subject, c.Holder, c.Content, stamp{c.ExpiresAt})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return failed(err, "writing %d counters of limits", len(counters))
	}
	return nil
}

// LimitCounterQuery says which counters are asked for.
type LimitCounterQuery struct {
	NotOf   string    // none of this holder
	Changed time.Time // none that were not written since; the zero time asks for all
	// AfterSubject and AfterHolder are those of the last one of the page before.
	AfterSubject, AfterHolder string
	Limit                     int
}

// List tells counters by subject and holder.
func (lc *LimitCounters) List(ctx context.Context, q LimitCounterQuery) ([]LimitCounter, error) {
	changed := q.Changed.UnixMicro()
	if q.Changed.IsZero() {
		changed = 0
	}
	all, err := list(ctx, lc.store, scanLimitCounter, `
		SELECT subject, holder, content, changed_at, expires_at FROM limit_counters
		WHERE changed_at >= $1 AND holder <> $2 AND (subject > $3 OR subject = $3 AND holder > $4)
		ORDER BY subject, holder LIMIT $5`, changed, q.NotOf, q.AfterSubject, q.AfterHolder, q.Limit)
	if err != nil {
		return nil, failed(err, "reading the counters of limits")
	}
	return all, nil
}

// DeleteExpired forgets the counters in which nothing has mattered since a time.
func (lc *LimitCounters) DeleteExpired(ctx context.Context, now time.Time) error {
	if _, err := lc.store.change(ctx, "DELETE FROM limit_counters WHERE expires_at <= $1", stamp{now}); err != nil {
		return failed(err, "deleting expired counters of limits")
	}
	return nil
}

func scanLimitCounter(r row) (LimitCounter, error) {
	var c LimitCounter
	err := r.Scan(&c.Subject, &c.Holder, &c.Content, scanStamp{&c.ChangedAt}, scanStamp{&c.ExpiresAt})
	return c, err
}
