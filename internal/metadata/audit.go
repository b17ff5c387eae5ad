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

// List tells at most limit entries, the newest first, older than the one whose ID is
// given; zero begins with the newest. With a project it is those of the project alone.
func (as *Audit) List(ctx context.Context, project string, before int64, limit int) ([]AuditEntry, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	where, args := "", []any{before, limit}
	if project != "" {
		where, args = "AND project = $3", append(args, project)
	}
	all, err := list(ctx, as.store, scanAuditEntry, `
		SELECT id, at, actor, address, action, project, object, result, detail FROM audit
		WHERE id < $1 `+where+` ORDER BY id DESC LIMIT $2`, args...)
	if err != nil {
		return nil, failed(err, "reading the audit log")
	}
	return all, nil
}

// DeleteBefore removes the entries that are older than a time.
func (as *Audit) DeleteBefore(ctx context.Context, at time.Time) error {
	if _, err := as.store.change(ctx, "DELETE FROM audit WHERE at < $1", stamp{at}); err != nil {
		return failed(err, "shortening the audit log")
	}
	return nil
}

func scanAuditEntry(r row) (AuditEntry, error) {
	var e AuditEntry
	err := r.Scan(&e.ID, scanStamp{&e.At}, &e.Actor, &e.Address, &e.Action, &e.Project, &e.Object, &e.Result, &e.Detail)
	return e, err
}
