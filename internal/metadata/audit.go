package metadata

import (
	"context"
	"time"
)

// AuditEntry is something that somebody did or was refused.
type AuditEntry struct {
	ID      int64 // given by the database, growing
	At      time.Time
	Actor   string
	Address string // the client's
	Action  string // what was asked for, as in create rolebindings
	Project string // "" for what concerns the whole registry
	Object  string
	Result  string // how it went, in one word
	Detail  string
}

// Audit keeps the audit log.
type Audit struct{ store *store }

// Append adds an entry. Its ID is ignored.
func (as *Audit) Append(ctx context.Context, e AuditEntry) error {
	_, err := as.store.change(ctx, `
		INSERT INTO audit (at, actor, address, action, project, object, result, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		stamp{e.At}, e.Actor, e.Address, e.Action, e.Project, e.Object, e.Result, e.Detail)
	if err != nil {
		return failed(err, "writing the audit log")
	}
	return nil
}

// AuditQuery says which entries are asked for; zero fields ask for all.
type AuditQuery struct {
	Project string    // those of the project alone
	Since   time.Time // none that are older
	Before  int64     // none that are as new as the one with this ID
	Limit   int       // how many at most
}

// List tells of entries, the newest first.
func (as *Audit) List(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	if q.Before == 0 {
		q.Before = 1<<63 - 1
	}
	where, args := "", []any{q.Before, q.Limit, q.Since.UnixMicro()}
	if q.Project != "" {
		where, args = "AND project = $4", append(args, q.Project)
	}
	all, err := list(ctx, as.store, scanAuditEntry, `
		SELECT id, at, actor, address, action, project, object, result, detail FROM audit
		WHERE id < $1 AND at >= $3 `+where+` ORDER BY id DESC LIMIT $2`, args...)
	if err != nil {
		return nil, failed(err, "reading the audit log")
	}
	return all, nil
}

// DeleteBefore removes at most limit entries that are older than a time, the oldest
// first, and tells how many it removed.
func (as *Audit) DeleteBefore(ctx context.Context, at time.Time, limit int) (deleted int64, err error) {
	deleted, err = as.store.change(ctx, `
		DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)`, stamp{at}, limit)
	if err != nil {
		return 0, failed(err, "shortening the audit log")
	}
	return deleted, nil
}

func scanAuditEntry(r row) (AuditEntry, error) {
	var e AuditEntry
	err := r.Scan(&e.ID, scanStamp{&e.At}, &e.Actor, &e.Address, &e.Action, &e.Project, &e.Object, &e.Result, &e.Detail)
	return e, err
}
