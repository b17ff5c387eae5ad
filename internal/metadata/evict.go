package metadata

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// Eviction is what is taken out of one repository of a cache project at once.
type Eviction struct {
	Repository string
	Manifests  []digest.Digest
	Blobs      []digest.Digest // which none of its other manifests refers to
	// UsedUntil is when one of the manifests was last pulled or fetched, as far as the
	// evictor knows.
	UsedUntil time.Time
}

// Evict makes manifests and blobs of a cache project unreadable in one repository,
// together with the tags that name them. The bytes of manifests go with the last
// repository that has them; rows of blobs stay. Nothing is changed, and evicted is
// false, when one of the manifests is pinned, gone upstream, or was used since, or when the repository
// belongs to a hosted project.
func (ms *Manifests) Evict(ctx context.Context, e Eviction) (evicted bool, err error) {
	manifests, blobs, err := encodeDigests(e.Manifests, e.Blobs)
	if err != nil {
		return false, failed(err, "evicting from %s", e.Repository)
	}
	err = ms.store.update(ctx, func(tx *sql.Tx) error {
		id, may, err := ms.store.mayEvict(ctx, tx, e, manifests)
		if evicted = may; err != nil || !may {
			return err
		}
		for _, step := range []struct {
			doing, query string
			args         []any
		}{
			// The tags go with the links, by their foreign key.
			{"unlinking manifests", "DELETE FROM manifest_links WHERE repository_id = $1 AND digest " + ms.store.among("$2"), []any{id, manifests}},
			{"dropping manifests", `DELETE FROM manifests WHERE digest ` + ms.store.among("$1") + `
				AND NOT EXISTS (SELECT 1 FROM manifest_links l WHERE l.digest = manifests.digest)`, []any{manifests}},
			{"unlinking blobs", "DELETE FROM blob_links WHERE repository_id = $1 AND digest " + ms.store.among("$2"), []any{id, blobs}},
		} {
			if _, err := change(ctx, tx, step.query, step.args...); err != nil {
				return fmt.Errorf("%s: %w", step.doing, err)
			}
		}
		return ms.store.announce(ctx, tx, ofRepository(e.Repository))
	})
	if err != nil {
		return false, failed(err, "evicting %d manifests from %s", len(e.Manifests), e.Repository)
	}
	return evicted, nil
}

func (s *store) mayEvict(ctx context.Context, tx *sql.Tx, e Eviction, manifests string) (id int64, may bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT r.id FROM repositories r JOIN projects p ON p.name = r.project
		WHERE r.name = $1 AND p.kind = $2`, e.Repository, Cache).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("finding the repository: %w", err)
	}
	var spared bool
	err = tx.QueryRowContext(ctx, `
		SELECT EXISTS (
			SELECT 1 FROM manifest_links l
			WHERE l.repository_id = $1 AND l.digest `+s.among("$2")+` AND (
				l.pulled_at > $3 OR l.pushed_at > $3
				OR `+pinned("l.repository_id", "l.digest")+` OR `+vanished("l.repository_id", "l.digest")+`))`,
		id, manifests, max(e.UsedUntil.UnixMicro(), 0)).Scan(&spared)
	if err != nil {
		return 0, false, fmt.Errorf("looking whether they may go: %w", err)
	}
	return id, !spared, nil
}

// CachedOnly tells which of the blobs are stored and linked by this repository and by no
// other.
func (bs *Blobs) CachedOnly(ctx context.Context, repository string, asked []digest.Digest) ([]Blob, error) {
	digests, _, err := encodeDigests(asked, nil)
	if err != nil {
		return nil, failed(err, "looking for blobs of %s", repository)
	}
	found, err := list(ctx, bs.store, scanBlob, `
		SELECT b.digest, b.storage_key, b.size
		FROM repositories r
		JOIN projects p ON p.name = r.project AND p.kind = 'cache'
		JOIN blob_links l ON l.repository_id = r.id
		JOIN blobs b ON b.digest = l.digest
		WHERE r.name = $1 AND l.digest `+bs.store.among("$2")+`
		AND NOT EXISTS (SELECT 1 FROM blob_links o WHERE o.digest = l.digest AND o.repository_id <> l.repository_id)`,
		repository, digests)
	if err != nil {
		return nil, failed(err, "looking for blobs that only %s links", repository)
	}
	return found, nil
}

// CachedSize is how much the blobs take that cache projects link and no hosted project
// does, in bytes. It reads all that is known of blobs.
func (bs *Blobs) CachedSize(ctx context.Context) (int64, error) {
	size, err := one(ctx, bs.store, scanOne[int64], `
		SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM blobs b
		WHERE EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest)
		AND NOT EXISTS (
			SELECT 1 FROM blob_links l
			JOIN repositories r ON r.id = l.repository_id
			JOIN projects p ON p.name = r.project
			WHERE l.digest = b.digest AND p.kind <> 'cache')`)
	if err != nil {
		return 0, failed(err, "adding up what is cached")
	}
	return size, nil
}

func encodeDigests(a, b []digest.Digest) (first, second string, err error) {
	texts := [2]string{}
	for i, digests := range [][]digest.Digest{a, b} {
		if digests == nil {
			digests = []digest.Digest{} // null is no list
		}
		text, err := json.Marshal(digests)
		if err != nil {
			return "", "", fmt.Errorf("encoding the digests: %w", err)
		}
		texts[i] = string(text)
	}
	return texts[0], texts[1], nil
}
