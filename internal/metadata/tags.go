package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// Tag is a name for a manifest of the same repository.
type Tag struct {
	Name      string
	Digest    digest.Digest
	UpdatedAt time.Time // when it was last set, to the same manifest or another
	CheckedAt time.Time // when the upstream last confirmed it; zero in hosted projects
	// VanishedAt is since when the upstream says that it does not have it; zero while it has.
	VanishedAt time.Time
}

// TagMove is one entry of a tag's history: it named the manifest from then on.
type TagMove struct {
	Digest digest.Digest // "" where the tag was removed
	At     time.Time
	Actor  string // on whose behalf; "" where a request removed the tag
}

// maxTagMoves is how many moves of one tag are remembered, newest first: a tag that
// moves with every build must not grow without bound.
const maxTagMoves = 100

// Tags keeps the tags and the history of where they pointed.
type Tags struct{ store *store }

// Get finds a tag.
func (ts *Tags) Get(ctx context.Context, repository, name string) (Tag, error) {
	t, err := one(ctx, ts.store, scanTag, `
		SELECT t.name, t.digest, t.updated_at, t.checked_at, t.vanished_at
		FROM repositories r JOIN tags t ON t.repository_id = r.id
		WHERE r.name = $1 AND t.name = $2`, repository, name)
	if err != nil {
		return Tag{}, failed(err, "reading tag %s of %s", name, repository)
	}
	return t, nil
}

// List tells at most limit tags of a repository whose names sort after the one
// given. A repository that does not exist has none.
func (ts *Tags) List(ctx context.Context, repository, after string, limit int) ([]string, error) {
	all, err := list(ctx, ts.store, scanOne[string], `
		SELECT t.name FROM repositories r JOIN tags t ON t.repository_id = r.id
		WHERE r.name = $1 AND t.name > $2 ORDER BY t.name LIMIT $3`, repository, after, limit)
	if err != nil {
		return nil, failed(err, "listing the tags of %s", repository)
	}
	return all, nil
}

// Set makes a tag name a manifest that the repository links; ErrNotFound says that
// it does not link it.
func (ts *Tags) Set(ctx context.Context, repository, name string, d digest.Digest, checkedAt time.Time, actor string) error {
	err := ts.store.update(ctx, func(tx *sql.Tx) error {
		var id int64
		err := tx.QueryRowContext(ctx, `
			SELECT r.id FROM repositories r JOIN manifest_links l ON l.repository_id = r.id
			WHERE r.name = $1 AND l.digest = $2`, repository, d).Scan(&id)
		if err != nil {
			return failed(err, "finding manifest %s", d)
		}
		if err := ts.store.setTag(ctx, tx, id, name, d, checkedAt, actor); err != nil {
			return err
		}
		return ts.store.announce(ctx, tx, ofRepository(repository))
	})
	if err != nil {
		return failed(err, "setting tag %s of %s", name, repository)
	}
	return nil
}

// Checked remembers when the upstream last confirmed a tag.
func (ts *Tags) Checked(ctx context.Context, repository, name string, at time.Time) error {
	err := oneChanged(ts.store.change(ctx, `
		UPDATE tags SET checked_at = $3, vanished_at = NULL
		WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND name = $2`, repository, name, stamp{at}))
	if err != nil {
		return failed(err, "confirming tag %s of %s", name, repository)
	}
	return nil
}

// Vanished notes that the upstream no longer has a tag, unless that is known.
func (ts *Tags) Vanished(ctx context.Context, repository, name string, at time.Time) error {
	_, err := ts.store.change(ctx, `
		UPDATE tags SET vanished_at = $3
		WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND name = $2 AND vanished_at IS NULL`, repository, name, stamp{at})
	if err != nil {
		return failed(err, "noting that tag %s of %s is gone upstream", name, repository)
	}
	return nil
}

// Delete removes a tag, and remembers that. The manifest that it named stays.
func (ts *Tags) Delete(ctx context.Context, repository, name string) error {
	err := ts.store.update(ctx, func(tx *sql.Tx) error {
		var id int64
		err := tx.QueryRowContext(ctx, `
			DELETE FROM tags
			WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND name = $2
			RETURNING repository_id`, repository, name).Scan(&id)
		if err != nil {
			return err
		}
		if err := rememberMove(ctx, tx, id, name, TagMove{At: ts.store.now()}); err != nil {
			return err
		}
		if err := ts.store.tellDeletion(ctx, tx, repository, name, ""); err != nil {
			return err
		}
		return ts.store.announce(ctx, tx, ofRepository(repository))
	})
	if err != nil {
		return failed(err, "deleting tag %s of %s", name, repository)
	}
	return nil
}

// History tells at most limit moves of a tag, newest first. It outlives the tag, and
// remembers the last hundred moves.
func (ts *Tags) History(ctx context.Context, repository, name string, limit int) ([]TagMove, error) {
	all, err := list(ctx, ts.store, scanTagMove, `
		SELECT h.digest, h.moved_at, h.actor
		FROM repositories r JOIN tag_history h ON h.repository_id = r.id
		WHERE r.name = $1 AND h.name = $2 ORDER BY h.id DESC LIMIT $3`, repository, name, limit)
	if err != nil {
		return nil, failed(err, "reading the history of tag %s of %s", name, repository)
	}
	return all, nil
}

func scanTag(r row) (Tag, error) {
	var t Tag
	err := r.Scan(&t.Name, &t.Digest, scanStamp{&t.UpdatedAt}, scanStamp{&t.CheckedAt}, scanStamp{&t.VanishedAt})
	return t, err
}

func scanTagMove(r row) (TagMove, error) {
	var m TagMove
	err := r.Scan(&m.Digest, scanStamp{&m.At}, &m.Actor)
	return m, err
}

// setTag sets a tag to a manifest that is linked, and remembers it if that is a move.
func (s *store) setTag(ctx context.Context, tx *sql.Tx, repositoryID int64, name string, d digest.Digest, checkedAt time.Time, actor string) error {
	var before digest.Digest
	err := tx.QueryRowContext(ctx, `
		SELECT digest FROM tags WHERE repository_id = $1 AND name = $2`, repositoryID, name).Scan(&before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("reading the tag: %w", err)
	}
	now := stamp{s.now()}
	_, err = change(ctx, tx, `
		INSERT INTO tags (repository_id, name, digest, updated_at, checked_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (repository_id, name) DO UPDATE SET
			digest = excluded.digest, updated_at = excluded.updated_at, checked_at = excluded.checked_at, vanished_at = NULL`,
		repositoryID, name, d, now, stamp{checkedAt})
	if err != nil {
		return fmt.Errorf("writing the tag: %w", err)
	}
	if before == d {
		return nil
	}
	return rememberMove(ctx, tx, repositoryID, name, TagMove{Digest: d, At: now.Time, Actor: actor})
}

func rememberMove(ctx context.Context, tx *sql.Tx, repositoryID int64, name string, m TagMove) error {
	_, err := change(ctx, tx, `
		INSERT INTO tag_history (repository_id, name, digest, moved_at, actor)
		VALUES ($1, $2, $3, $4, $5)`, repositoryID, name, m.Digest, stamp{m.At}, m.Actor)
	if err != nil {
		return fmt.Errorf("writing the tag's history: %w", err)
	}
	_, err = change(ctx, tx, `
		DELETE FROM tag_history WHERE repository_id = $1 AND name = $2 AND id <= (
			SELECT h.id FROM tag_history h WHERE h.repository_id = $1 AND h.name = $2
			ORDER BY h.id DESC LIMIT 1 OFFSET $3)`, repositoryID, name, maxTagMoves)
	if err != nil {
		return fmt.Errorf("shortening the tag's history: %w", err)
	}
	return nil
}
