package metadata

import (
	"context"
	"database/sql"
	"time"

	"github.com/opencontainers/go-digest"
)

// UseResolution is how exactly it is known when a blob of a repository was last used:
// many uses cost one write in that time. Whoever goes by it waits for much longer.
const UseResolution = time.Hour

// BlobLink is a blob of one repository.
type BlobLink struct {
	Digest digest.Digest
	// UsedAt is when somebody was last told that the repository has the blob, give or
	// take UseResolution; zero where an older larder made the link.
	UsedAt time.Time
}

// BlobUse is a blob that is stored, and how many repositories link it.
type BlobUse struct {
	Blob
	StoredAt time.Time // zero where an older larder stored it
	Links    int
}

// Use notes that somebody is told that a repository has a blob. ErrNotFound says that
// it does not link it, or not any more.
func (bs *Blobs) Use(ctx context.Context, repository string, d digest.Digest) error {
	if err := bs.use(ctx, repository, d); err != nil {
		return failed(err, "using blob %s of %s", d, repository)
	}
	return nil
}

func (bs *Blobs) use(ctx context.Context, repository string, d digest.Digest) error {
	now := bs.store.now()
	link, err := one(ctx, bs.store, scanBlobLink, `
		SELECT l.digest, l.used_at FROM repositories r JOIN blob_links l ON l.repository_id = r.id
		WHERE r.name = $1 AND l.digest = $2`, repository, d)
	if err != nil || link.UsedAt.After(now.Add(-UseResolution)) {
		return err
	}
	return oneChanged(bs.store.change(ctx, `
		UPDATE blob_links SET used_at = $3
		WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2`, repository, d, stamp{now}))
}

// Links tells at most limit links of a repository whose digests sort after the one
// given.
func (bs *Blobs) Links(ctx context.Context, repository string, after digest.Digest, limit int) ([]BlobLink, error) {
	all, err := list(ctx, bs.store, scanBlobLink, `
		SELECT l.digest, l.used_at FROM repositories r JOIN blob_links l ON l.repository_id = r.id
		WHERE r.name = $1 AND l.digest > $2 ORDER BY l.digest LIMIT $3`, repository, after, limit)
	if err != nil {
		return nil, failed(err, "listing the blobs of %s", repository)
	}
	return all, nil
}

func scanBlobLink(r row) (BlobLink, error) {
	var l BlobLink
	err := r.Scan(&l.Digest, scanStamp{&l.UsedAt})
	return l, err
}

// UnlinkUnused makes those of the blobs unreadable in a repository that were last used
// before a time, and tells which. What does not say when it was used stays.
func (bs *Blobs) UnlinkUnused(ctx context.Context, repository string, blobs []digest.Digest, usedBefore time.Time) ([]digest.Digest, error) {
	names, err := asJSON(blobs)
	if err != nil {
		return nil, err
	}
	var unlinked []digest.Digest
	err = bs.store.update(ctx, func(tx *sql.Tx) error {
		unlinked, err = tryList(ctx, tx, scanOne[digest.Digest], `
			DELETE FROM blob_links
			WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest `+bs.store.among("$2")+`
			AND used_at < $3 RETURNING digest`, repository, names, stamp{usedBefore})
		return err
	})
	if err != nil {
		return nil, failed(err, "unlinking %d blobs in %s", len(blobs), repository)
	}
	return unlinked, nil
}

// DateUse notes that blobs of a repository were used at a time, where it is not known
// when they were.
func (bs *Blobs) DateUse(ctx context.Context, repository string, blobs []digest.Digest, at time.Time) error {
	names, err := asJSON(blobs)
	if err != nil {
		return err
	}
	_, err = bs.store.change(ctx, `
		UPDATE blob_links SET used_at = $3
		WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest `+bs.store.among("$2")+`
		AND used_at IS NULL`, repository, names, stamp{at})
	if err != nil {
		return failed(err, "dating the use of %d blobs in %s", len(blobs), repository)
	}
	return nil
}

const blobUse = `
	SELECT b.digest, b.storage_key, b.size, b.stored_at,
		(SELECT COUNT(*) FROM blob_links l WHERE l.digest = b.digest)
	FROM blobs b `

// Uses tells of each of the blobs, as far as they are stored, how much it is linked.
func (bs *Blobs) Uses(ctx context.Context, blobs []digest.Digest) ([]BlobUse, error) {
	names, err := asJSON(blobs)
	if err != nil {
		return nil, err
	}
	all, err := list(ctx, bs.store, scanBlobUse, blobUse+"WHERE b.digest "+bs.store.among("$1")+" ORDER BY b.digest", names)
	if err != nil {
		return nil, failed(err, "counting the links of %d blobs", len(blobs))
	}
	return all, nil
}

// Unlinked tells at most limit blobs that no repository links and whose digests sort
// after the one given.
func (bs *Blobs) Unlinked(ctx context.Context, after digest.Digest, limit int) ([]BlobUse, error) {
	all, err := list(ctx, bs.store, scanBlobUse, blobUse+`
		WHERE b.digest > $1 AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = b.digest)
		ORDER BY b.digest LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed(err, "listing blobs that nothing links")
	}
	return all, nil
}

func scanBlobUse(r row) (BlobUse, error) {
	var u BlobUse
	err := r.Scan(&u.Digest, &u.Key, &u.Size, scanStamp{&u.StoredAt}, &u.Links)
	return u, err
}

// DateStored notes that a blob was stored at a time, where it is not known when it was.
func (bs *Blobs) DateStored(ctx context.Context, d digest.Digest, at time.Time) error {
	_, err := bs.store.change(ctx, "UPDATE blobs SET stored_at = $2 WHERE digest = $1 AND stored_at IS NULL", d, stamp{at})
	if err != nil {
		return failed(err, "dating blob %s", d)
	}
	return nil
}

// ForgetUnlinked forgets a blob that no repository links and that was stored before a
// time, and tells whether it did: the bytes under its key are then nobody's. One whose
// row has another key by now, or does not say when it was stored, stays.
func (bs *Blobs) ForgetUnlinked(ctx context.Context, b Blob, storedBefore time.Time) (forgotten bool, err error) {
	changed, err := bs.store.change(ctx, `
		DELETE FROM blobs
		WHERE digest = $1 AND storage_key = $2 AND stored_at < $3
		AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = blobs.digest)`,
		b.Digest, b.Key, stamp{storedBefore})
	if err != nil {
		return false, failed(err, "forgetting blob %s, which nothing links", b.Digest)
	}
	return changed > 0, nil
}
