package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Entries is List with all that is known of the tags.
func (ts *Tags) Entries(ctx context.Context, repository, after string, limit int) ([]Tag, error) {
	all, err := list(ctx, ts.store, scanTag, `
		SELECT t.name, t.digest, t.updated_at, t.checked_at, t.vanished_at
		FROM repositories r JOIN tags t ON t.repository_id = r.id
		WHERE r.name = $1 AND t.name > $2 ORDER BY t.name LIMIT $3`, repository, after, limit)
	if err != nil {
		return nil, failed(err, "listing the tags of %s", repository)
	}
	return all, nil
}

// Retire removes a tag on somebody's behalf, provided that it was not set since it was
// read and that its manifest is not pinned; retired tells whether it did. The tag's
// history gets a move to no manifest.
func (ts *Tags) Retire(ctx context.Context, repository string, t Tag, actor string) (retired bool, err error) {
	err = ts.store.update(ctx, func(tx *sql.Tx) error {
		var id int64
		err := tx.QueryRowContext(ctx, `
			DELETE FROM tags
			WHERE repository_id = (SELECT id FROM repositories WHERE name = $1)
				AND name = $2 AND digest = $3 AND updated_at = $4
				AND NOT `+pinned("tags.repository_id", "tags.digest")+`
			RETURNING repository_id`, repository, t.Name, t.Digest, stamp{t.UpdatedAt}).Scan(&id)
		retired = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := rememberMove(ctx, tx, id, t.Name, TagMove{At: ts.store.now(), Actor: actor}); err != nil {
			return err
		}
		if err := ts.store.tellDeletion(ctx, tx, repository, t.Name, actor); err != nil {
			return err
		}
		return ts.store.announce(ctx, tx, ofRepository(repository))
	})
	if err != nil {
		return false, failed(err, "retiring tag %s of %s", t.Name, repository)
	}
	return retired, nil
}

// Retire is Delete for a manifest that has no tag and no pin, and that was neither pushed
// nor pulled since it was read; retired tells whether all that held.
func (ms *Manifests) Retire(ctx context.Context, repository string, l ManifestLink) (retired bool, err error) {
	err = ms.store.update(ctx, func(tx *sql.Tx) error {
		changed, err := change(ctx, tx, `
			DELETE FROM manifest_links
			WHERE repository_id = (SELECT id FROM repositories WHERE name = $1)
				AND digest = $2 AND pushed_at = $3 AND pulled_at IS NOT DISTINCT FROM $4
				AND NOT EXISTS (SELECT 1 FROM tags t
					WHERE t.repository_id = manifest_links.repository_id AND t.digest = manifest_links.digest)
				AND NOT `+pinned("manifest_links.repository_id", "manifest_links.digest"),
			repository, l.Digest, stamp{l.PushedAt}, stamp{l.PulledAt})
		retired = err == nil && changed == 1
		if err != nil || !retired {
			return err
		}
		if err := dropUnlinked(ctx, tx, l.Digest); err != nil {
			return err
		}
		return ms.store.announce(ctx, tx, ofRepository(repository))
	})
	if err != nil {
		return false, failed(err, "retiring manifest %s of %s", l.Digest, repository)
	}
	return retired, nil
}

// dropUnlinked drops the bytes of a manifest that no repository has.
func dropUnlinked(ctx context.Context, tx *sql.Tx, d digest.Digest) error {
	_, err := change(ctx, tx, `
		DELETE FROM manifests
		WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM manifest_links l WHERE l.digest = manifests.digest)`, d)
	if err != nil {
		return fmt.Errorf("dropping the bytes: %w", err)
	}
	return nil
}
