package metadata

import (
	"context"
	"database/sql"
	"time"

	"github.com/opencontainers/go-digest"
)

// Linking is a repository that links a blob.
type Linking struct {
	Repository string
	Kind       Kind // of its project
}

// DanglingLink is a blob that a repository links.
type DanglingLink struct {
	Repository string
	Digest     digest.Digest
}

// Unverified tells at most limit blobs that were not read back since, or never were,
// and whose digests sort after the one given.
func (bs *Blobs) Unverified(ctx context.Context, since time.Time, after digest.Digest, limit int) ([]Blob, error) {
	all, err := list(ctx, bs.store, scanBlob, `
		SELECT digest, storage_key, size FROM blobs
		WHERE digest > $2 AND (verified_at IS NULL OR verified_at < $1) ORDER BY digest LIMIT $3`, stamp{since}, after, limit)
	if err != nil {
		return nil, failed(err, "listing blobs to verify")
	}
	return all, nil
}

// CountUnverified tells how many blobs Unverified lists in all, and their bytes.
func (bs *Blobs) CountUnverified(ctx context.Context, since time.Time) (count, bytes int64, err error) {
	type sum struct{ count, bytes int64 }
	s, err := one(ctx, bs.store, func(r row) (s sum, err error) {
		err = r.Scan(&s.count, &s.bytes)
		return s, err
	}, `
		SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs
		WHERE verified_at IS NULL OR verified_at < $1`, stamp{since})
	if err != nil {
		return 0, 0, failed(err, "counting blobs to verify")
	}
	return s.count, s.bytes, nil
}

// SetVerified remembers when blobs were read back and found good. One that was stored
// under another key meanwhile is left as it is.
func (bs *Blobs) SetVerified(ctx context.Context, verified []Blob, at time.Time) error {
	err := bs.store.update(ctx, func(tx *sql.Tx) error {
		for _, b := range verified {
			_, err := change(ctx, tx, `
				UPDATE blobs SET verified_at = $3 WHERE digest = $1 AND storage_key = $2`, b.Digest, b.Key, stamp{at})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return failed(err, "remembering that %d blobs were verified", len(verified))
	}
	return nil
}

// LinkedBy tells at most limit repositories that link a blob, stored or not, whose names
// sort after the one given.
func (bs *Blobs) LinkedBy(ctx context.Context, d digest.Digest, after string, limit int) ([]Linking, error) {
	all, err := list(ctx, bs.store, scanLinking, `
		SELECT r.name, p.kind FROM blob_links l
		JOIN repositories r ON r.id = l.repository_id
		JOIN projects p ON p.name = r.project
		WHERE l.digest = $1 AND r.name > $2 ORDER BY r.name LIMIT $3`, d, after, limit)
	if err != nil {
		return nil, failed(err, "listing the repositories of blob %s", d)
	}
	return all, nil
}

// LinkedByAny tells whether a repository of a project of that kind links a blob, stored or
// not.
func (bs *Blobs) LinkedByAny(ctx context.Context, d digest.Digest, kind Kind) (bool, error) {
	found, err := bs.store.yes(ctx, `
		SELECT EXISTS (
			SELECT 1 FROM blob_links l
			JOIN repositories r ON r.id = l.repository_id
			JOIN projects p ON p.name = r.project
			WHERE l.digest = $1 AND p.kind = $2)`, d, kind)
	if err != nil {
		return false, failed(err, "looking for repositories of blob %s", d)
	}
	return found, nil
}

// Dangling tells at most limit links of hosted repositories to blobs that are neither
// stored nor known to be damaged, in the order of repository and digest, from the one
// after that given.
func (bs *Blobs) Dangling(ctx context.Context, after DanglingLink, limit int) ([]DanglingLink, error) {
	all, err := list(ctx, bs.store, scanDangling, `
		SELECT r.name, l.digest FROM repositories r
		JOIN projects p ON p.name = r.project
		JOIN blob_links l ON l.repository_id = r.id
		WHERE p.kind = 'hosted' AND (r.name > $1 OR r.name = $1 AND l.digest > $2)
			AND NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = l.digest)
			AND NOT EXISTS (SELECT 1 FROM damaged_blobs d WHERE d.digest = l.digest)
		ORDER BY r.name, l.digest LIMIT $3`, after.Repository, after.Digest, limit)
	if err != nil {
		return nil, failed(err, "listing links to blobs that are not stored")
	}
	return all, nil
}

func scanLinking(r row) (Linking, error) {
	var u Linking
	err := r.Scan(&u.Repository, &u.Kind)
	return u, err
}

func scanDangling(r row) (DanglingLink, error) {
	var l DanglingLink
	err := r.Scan(&l.Repository, &l.Digest)
	return l, err
}
