package metadata

import (
	"context"
	"database/sql"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// Failure is something that a cache project refused or served stale, and why.
type Failure struct {
	ID string
	// FirstAt and LastAt are when it happened, Count how often in between.
	FirstAt, LastAt time.Time
	Count           int64
	Repository      string // with its project
	Asked           string // the name as the client wrote it
	Kind            string // of what was asked for: manifest, blob, tags, referrers
	Reference       string // tag or digest; "" for tags
	User            string // "" for a stranger
	Client          string // address, or network of the client that asked first
	Rule            string
	// Code, Status and Message are the answer's; a stale copy has a message alone.
	Code    string
	Status  int
	Message string
	// Credential is the one that the upstream was asked with, "" when that is not known.
	Credential string
	// UpstreamKind, UpstreamStatus and UpstreamText are what came of asking the upstream;
	// zero when it was not asked.
	UpstreamKind   string
	UpstreamStatus int
	UpstreamText   string
	// Digest and Age are those of a stale copy that was served.
	Digest string
	Age    time.Duration
	// Told has webhooks of the project hear of it, unless it is kept already.
	Told bool
}

// Failures keeps what was refused and served stale.
type Failures struct{ store *store }

// Note adds failures, all or none. One that is kept already happened again: its count
// grows, and what may differ each time is told anew.
func (fs *Failures) Note(ctx context.Context, all []Failure) error {
	if len(all) == 0 {
		return nil
	}
	err := fs.store.update(ctx, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `
			INSERT INTO failures AS f (id, first_at, last_at, count, repository, asked, kind, reference, user_name, client, rule,
				code, status, message, credential, upstream_kind, upstream_status, upstream_text, digest, age)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
			ON CONFLICT (id) DO UPDATE SET count = f.count + excluded.count, last_at = excluded.last_at, message = excluded.message,
				upstream_text = excluded.upstream_text, digest = excluded.digest, age = excluded.age
			RETURNING count`)
		if err != nil {
			return err
		}
		defer func() { _ = insert.Close() }()
		for _, f := range all {
			var count int64
			err := insert.QueryRowContext(ctx, f.ID, stamp{f.FirstAt}, stamp{f.LastAt}, f.Count, f.Repository, f.Asked, f.Kind, f.Reference, f.User, f.Client, f.Rule,
				f.Code, f.Status, f.Message, f.Credential, f.UpstreamKind, f.UpstreamStatus, f.UpstreamText, f.Digest, f.Age.Microseconds()).Scan(&count)
			if err != nil {
				return err
			}
			if !f.Told || count > f.Count {
				continue
			}
			if err := fs.store.tell(ctx, tx, f.event()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return failed(err, "noting %d failures", len(all))
	}
	return nil
}

// event is the failure as webhooks hear of it.
func (f Failure) event() Event {
	e := Event{
		Kind: EventFillFailed, Project: oci.Repository(f.Repository).Project(), Repository: f.Repository,
		Actor: f.User, Detail: f.Message, At: f.FirstAt,
	}
	if d := digest.Digest(f.Reference); d.Validate() == nil {
		e.Digest = d
	} else {
		e.Tag = f.Reference
	}
	return e
}

const failureColumns = `id, first_at, last_at, count, repository, asked, kind, reference, user_name, client, rule,
	code, status, message, credential, upstream_kind, upstream_status, upstream_text, digest, age`

// Get finds a failure. The error is ErrNotFound when none has the id, or has it any more.
func (fs *Failures) Get(ctx context.Context, id string) (Failure, error) {
	all, err := list(ctx, fs.store, scanFailure, "SELECT "+failureColumns+" FROM failures WHERE id = $1", id)
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Failure{}, failed(err, "reading failure %s", id)
	}
	return all[0], nil
}

// List tells of failures, the newest first.
func (fs *Failures) List(ctx context.Context, limit int) ([]Failure, error) {
	all, err := list(ctx, fs.store, scanFailure, "SELECT "+failureColumns+" FROM failures ORDER BY last_at DESC, id LIMIT $1", limit)
	if err != nil {
		return nil, failed(err, "reading failures")
	}
	return all, nil
}

// ListOf tells of a user's failures, the newest first.
func (fs *Failures) ListOf(ctx context.Context, user string, limit int) ([]Failure, error) {
	all, err := list(ctx, fs.store, scanFailure, "SELECT "+failureColumns+" FROM failures WHERE user_name = $1 ORDER BY last_at DESC, id LIMIT $2", user, limit)
	if err != nil {
		return nil, failed(err, "reading failures of %s", user)
	}
	return all, nil
}

func scanFailure(r row) (Failure, error) {
	var f Failure
	var age int64
	err := r.Scan(&f.ID, scanStamp{&f.FirstAt}, scanStamp{&f.LastAt}, &f.Count, &f.Repository, &f.Asked, &f.Kind, &f.Reference, &f.User, &f.Client, &f.Rule,
		&f.Code, &f.Status, &f.Message, &f.Credential, &f.UpstreamKind, &f.UpstreamStatus, &f.UpstreamText, &f.Digest, &age)
	f.Age = time.Duration(age) * time.Microsecond
	return f, err
}

// DeleteBefore removes at most limit failures that have not happened since a time, and of
// the others those beyond the newest keep. It tells how many it removed.
func (fs *Failures) DeleteBefore(ctx context.Context, at time.Time, keep, limit int) (deleted int64, err error) {
	deleted, err = fs.store.change(ctx, `
		DELETE FROM failures WHERE id IN (SELECT id FROM failures WHERE last_at < $1 ORDER BY last_at LIMIT $2)`, stamp{at}, limit)
	if err == nil && deleted < int64(limit) {
		var more int64
		more, err = fs.store.change(ctx, `
			DELETE FROM failures WHERE id IN (SELECT id FROM failures ORDER BY last_at DESC, id LIMIT $1 OFFSET $2)`, int64(limit)-deleted, keep)
		deleted += more
	}
	if err != nil {
		return 0, failed(err, "deleting old failures")
	}
	return deleted, nil
}
