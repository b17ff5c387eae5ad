package metadata

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// DamagedBlob is a blob of a hosted repository whose bytes were found damaged or gone.
// It is known as such until it is stored again.
type DamagedBlob struct {
	Blob           // as it was stored
	Reason  string // what was found, in words
	FoundAt time.Time
}

// Damaged keeps which blobs are damaged.
type Damaged struct{ store *store }

const selectDamaged = "SELECT d.digest, d.storage_key, d.size, d.reason, d.found_at FROM damaged_blobs d "

// Get finds a damaged blob that the repository links.
func (ds *Damaged) Get(ctx context.Context, repository string, d digest.Digest) (DamagedBlob, error) {
	found, err := one(ctx, ds.store, scanDamaged, selectDamaged+`
		JOIN blob_links l ON l.digest = d.digest
		JOIN repositories r ON r.id = l.repository_id
		WHERE d.digest = $2 AND r.name = $1`, repository, d)
	if err != nil {
		return DamagedBlob{}, failed(err, "looking for damage of blob %s in %s", d, repository)
	}
	return found, nil
}

// Held finds a damaged blob, whichever repository links it.
func (ds *Damaged) Held(ctx context.Context, d digest.Digest) (DamagedBlob, error) {
	found, err := one(ctx, ds.store, scanDamaged, selectDamaged+"WHERE d.digest = $1", d)
	if err != nil {
		return DamagedBlob{}, failed(err, "looking for damage of blob %s", d)
	}
	return found, nil
}

// List tells at most limit damaged blobs whose digests sort after the one given.
func (ds *Damaged) List(ctx context.Context, after digest.Digest, limit int) ([]DamagedBlob, error) {
	all, err := list(ctx, ds.store, scanDamaged, selectDamaged+`
		WHERE d.digest > $1 ORDER BY d.digest LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed(err, "listing the damaged blobs")
	}
	return all, nil
}

// Count tells how many blobs are damaged.
func (ds *Damaged) Count(ctx context.Context) (int64, error) {
	count, err := one(ctx, ds.store, scanOne[int64], "SELECT COUNT(*) FROM damaged_blobs")
	if err != nil {
		return 0, failed(err, "counting the damaged blobs")
	}
	return count, nil
}

// Set makes a blob unreadable until it is stored again, and remembers it if a hosted
// repository links it: what caches alone have is had again from upstream. A blob that
// is not stored under that key any more is left as it is, and forgotten is false.
func (ds *Damaged) Set(ctx context.Context, d DamagedBlob) (forgotten bool, err error) {
	err = ds.store.update(ctx, func(tx *sql.Tx) error {
		changed, err := change(ctx, tx, "DELETE FROM blobs WHERE digest = $1 AND storage_key = $2", d.Digest, d.Key)
		if forgotten = changed == 1; err != nil || !forgotten {
			return err
		}
		_, err = change(ctx, tx, `
			INSERT INTO damaged_blobs (digest, storage_key, size, reason, found_at)
			SELECT CAST($1 AS TEXT), $2, $3, $4, $5
			WHERE EXISTS (
				SELECT 1 FROM blob_links l
				JOIN repositories r ON r.id = l.repository_id
				JOIN projects p ON p.name = r.project
				WHERE l.digest = $1 AND p.kind = 'hosted')
			ON CONFLICT (digest) DO UPDATE SET
				storage_key = excluded.storage_key, size = excluded.size, reason = excluded.reason, found_at = excluded.found_at`,
			d.Digest, d.Key, d.Size, d.Reason, stamp{d.FoundAt})
		if err != nil {
			return fmt.Errorf("remembering the damage: %w", err)
		}
		return nil
	})
	if err != nil {
		return false, failed(err, "setting damaged blob %s aside", d.Digest)
	}
	return forgotten, nil
}

func scanDamaged(r row) (DamagedBlob, error) {
	var d DamagedBlob
	err := r.Scan(&d.Digest, &d.Key, &d.Size, &d.Reason, scanStamp{&d.FoundAt})
	return d, err
}
