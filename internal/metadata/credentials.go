package metadata

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// ErrTooMany is returned when there are as many already as there may be.
var ErrTooMany = errors.New("there are too many already")

// UpstreamCredential is a credential for an upstream that was added in flight.
type UpstreamCredential struct {
	Upstream string
	Project  string // whose own it is; "" for one that serves everybody
	Username string
	// Sealed is the password, encrypted by who keeps it here.
	Sealed    []byte
	Creator   string
	CreatedAt time.Time
	UpdatedAt time.Time // when the password was set last
}

// Credentials keeps the credentials for upstreams.
type Credentials struct{ store *store }

// Put adds a credential, or sets the password of the one that is there. ErrNotFound says
// that there is no such project, ErrTooMany that it, or everybody, has most already for
// the upstream.
func (cs *Credentials) Put(ctx context.Context, c UpstreamCredential, most int) (added bool, err error) {
	err = cs.store.update(ctx, func(tx *sql.Tx) error {
		if c.Project != "" {
			if err := requireProject(ctx, tx, c.Project); err != nil {
				return err
			}
		}
		changed, err := change(ctx, tx, `
			UPDATE upstream_credentials SET sealed = $4, updated_at = $5
			WHERE upstream = $1 AND project = $2 AND username = $3`, c.Upstream, c.Project, c.Username, c.Sealed, stamp{c.UpdatedAt})
		if err != nil {
			return err
		}
		if added = changed == 0; added {
			if err := cs.insert(ctx, tx, c, most); err != nil {
				return err
			}
		}
		return cs.store.announce(ctx, tx, ofCredentials())
	})
	if err != nil {
		return false, failed(err, "keeping the credential of %s for upstream %s", c.Username, c.Upstream)
	}
	cs.store.changes.apply(ofCredentials())
	return added, nil
}

func (cs *Credentials) insert(ctx context.Context, tx *sql.Tx, c UpstreamCredential, most int) error {
	var count int
	err := tx.QueryRowContext(ctx, `
		SELECT COUNT(*) FROM upstream_credentials WHERE upstream = $1 AND project = $2`, c.Upstream, c.Project).Scan(&count)
	if err != nil {
		return err
	}
	if count >= most {
		return ErrTooMany
	}
	_, err = change(ctx, tx, `
		INSERT INTO upstream_credentials (upstream, project, username, sealed, creator, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		c.Upstream, c.Project, c.Username, c.Sealed, c.Creator, stamp{c.CreatedAt}, stamp{c.UpdatedAt})
	return err
}

// All tells all credentials, ordered by upstream, project and user name.
func (cs *Credentials) All(ctx context.Context) ([]UpstreamCredential, error) {
	all, err := list(ctx, cs.store, scanCredential, `
		SELECT upstream, project, username, sealed, creator, created_at, updated_at
		FROM upstream_credentials ORDER BY upstream, project, username`)
	if err != nil {
		return nil, failed(err, "reading the credentials for upstreams")
	}
	return all, nil
}

// Delete forgets a credential; ErrNotFound says that there is none.
func (cs *Credentials) Delete(ctx context.Context, upstream, project, username string) error {
	err := oneChanged(cs.store.changeAnnounced(ctx, ofCredentials(), `
		DELETE FROM upstream_credentials WHERE upstream = $1 AND project = $2 AND username = $3`, upstream, project, username))
	if err != nil {
		return failed(err, "deleting the credential of %s for upstream %s", username, upstream)
	}
	cs.store.changes.apply(ofCredentials())
	return nil
}

func scanCredential(r row) (UpstreamCredential, error) {
	var c UpstreamCredential
	err := r.Scan(&c.Upstream, &c.Project, &c.Username, &c.Sealed, &c.Creator, scanStamp{&c.CreatedAt}, scanStamp{&c.UpdatedAt})
	return c, err
}
