package metadata

import (
	"context"
	"time"
)

// Stars keeps who has starred which repositories.
type Stars struct{ store *store }

// Set stars a repository for a user; once is enough. ErrNotFound says that there is no
// such repository.
func (ss *Stars) Set(ctx context.Context, repository, user string, at time.Time) error {
	err := oneChanged(ss.store.change(ctx, `
		INSERT INTO stars (repository_id, user_name, created_at)
		SELECT id, $2, $3 FROM repositories WHERE name = $1
		ON CONFLICT (repository_id, user_name) DO UPDATE SET created_at = stars.created_at`, repository, user, stamp{at}))
	if err != nil {
		return failed(err, "starring %s", repository)
	}
	return nil
}

// Unset takes the star of a user from a repository, if there is one.
func (ss *Stars) Unset(ctx context.Context, repository, user string) error {
	_, err := ss.store.change(ctx, `
		DELETE FROM stars WHERE user_name = $2 AND repository_id = (SELECT id FROM repositories WHERE name = $1)`, repository, user)
	if err != nil {
		return failed(err, "taking the star from %s", repository)
	}
	return nil
}

// Of tells at most limit repositories that a user has starred and whose names sort after
// the one given.
func (ss *Stars) Of(ctx context.Context, user, after string, limit int) ([]Repository, error) {
	all, err := list(ctx, ss.store, scanRepository, selectRepositories+`
		JOIN stars own ON own.repository_id = r.id
		WHERE own.user_name = $1 AND r.name > $2 ORDER BY r.name LIMIT $3`, user, after, limit)
	if err != nil {
		return nil, failed(err, "listing what %s has starred", user)
	}
	return all, nil
}
