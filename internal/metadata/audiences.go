package metadata

import (
	"context"
	"database/sql"
	"time"
)

// Audience is whether an upstream showed a repository to some of the credentials that it
// is asked with.
type Audience struct {
	Name      string // in the words of who asked
	Shown     bool
	CheckedAt time.Time // when it was found out
}

// Audiences tells what SetAudience was told of a repository, ordered by name.
func (rs *Repositories) Audiences(ctx context.Context, repository string) ([]Audience, error) {
	all, err := list(ctx, rs.store, scanAudience, `
		SELECT a.audience, a.shown, a.checked_at FROM repository_audiences a
		JOIN repositories r ON r.id = a.repository_id WHERE r.name = $1 ORDER BY a.audience`, repository)
	if err != nil {
		return nil, failed(err, "reading who may see %s", repository)
	}
	return all, nil
}

// SetAudience remembers whether an upstream showed a repository to an audience. The
// repository is created if need be; ErrNotFound says that its project does not exist.
func (rs *Repositories) SetAudience(ctx context.Context, repository string, a Audience) error {
	err := rs.store.update(ctx, func(tx *sql.Tx) error {
		id, err := rs.store.ensureRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		_, err = change(ctx, tx, `
			INSERT INTO repository_audiences (repository_id, audience, shown, checked_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (repository_id, audience) DO UPDATE SET shown = excluded.shown, checked_at = excluded.checked_at`,
			id, a.Name, a.Shown, stamp{a.CheckedAt})
		if err != nil {
			return err
		}
		return rs.store.announce(ctx, tx, ofRepository(repository))
	})
	if err != nil {
		return failed(err, "setting who may see %s", repository)
	}
	return nil
}

func scanAudience(r row) (Audience, error) {
	var a Audience
	err := r.Scan(&a.Name, &a.Shown, scanStamp{&a.CheckedAt})
	return a, err
}
