package metadata

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// Blob says where a blob's bytes are.
type Blob struct {
	Digest digest.Digest
	Key    string // by which the blob store opens it
	Size   int64  // bytes
}

// Blobs keeps which blobs are stored, and which repositories link them. The two are
// apart: a blob is readable where it is linked, while it is stored.
type Blobs struct {
	store *store
	get   *sql.Stmt
}

const getBlob = `
	SELECT b.digest, b.storage_key, b.size
	FROM repositories r
	JOIN blob_links l ON l.repository_id = r.id
	JOIN blobs b ON b.digest = l.digest
	WHERE r.name = $1 AND l.digest = $2`

func newBlobs(ctx context.Context, s *store) (*Blobs, error) {
	get, err := s.readers.PrepareContext(ctx, getBlob)
	if err != nil {
		return nil, failed(err, "preparing to read blobs")
	}
	return &Blobs{store: s, get: get}, nil
}

// Get finds a blob that is stored and that the repository links. It is one query.
func (bs *Blobs) Get(ctx context.Context, repository string, d digest.Digest) (Blob, error) {
	b, err := ask(ctx, bs.store, func() (Blob, error) { return scanBlob(bs.get.QueryRowContext(ctx, repository, d)) })
	if err != nil {
		return Blob{}, failed(err, "reading blob %s of %s", d, repository)
	}
	return b, nil
}

// Held finds a blob that is stored, whether any repository links it or not.
func (bs *Blobs) Held(ctx context.Context, d digest.Digest) (Blob, error) {
	b, err := one(ctx, bs.store, scanBlob, `
		SELECT digest, storage_key, size FROM blobs WHERE digest = $1`, d)
	if err != nil {
		return Blob{}, failed(err, "reading blob %s", d)
	}
	return b, nil
}

// Put remembers where a blob is stored, in place of what was known of it, damage too, and links
// it in the repositories, which are created if need be, all or nothing. ErrNotFound
// says that the project of one of them does not exist.
func (bs *Blobs) Put(ctx context.Context, b Blob, repositories ...string) error {
	err := bs.store.update(ctx, func(tx *sql.Tx) error {
		_, err := change(ctx, tx, `
			INSERT INTO blobs (digest, storage_key, size, stored_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (digest) DO UPDATE SET
				storage_key = excluded.storage_key, size = excluded.size, stored_at = excluded.stored_at, verified_at = NULL`,
			b.Digest, b.Key, b.Size, stamp{bs.store.now()})
		if err != nil {
			return fmt.Errorf("writing its key: %w", err)
		}
		if _, err := change(ctx, tx, "DELETE FROM damaged_blobs WHERE digest = $1", b.Digest); err != nil {
			return fmt.Errorf("forgetting that it was damaged: %w", err)
		}
		for _, repository := range repositories {
			if err := bs.store.linkBlob(ctx, tx, repository, b.Digest); err != nil {
				return failed(err, "linking it in %s", repository)
			}
		}
		return nil
	})
	if err != nil {
		return failed(err, "keeping blob %s", b.Digest)
	}
	return nil
}

// Link makes a blob that is stored readable in a repository, which is created if
// need be. ErrNotFound says that the blob is not stored, or that the project does
// not exist, a *QuotaError that the project has no room for it.
func (bs *Blobs) Link(ctx context.Context, repository string, d digest.Digest) error {
	err := bs.store.update(ctx, func(tx *sql.Tx) error {
		var held digest.Digest
		if err := tx.QueryRowContext(ctx, "SELECT digest FROM blobs WHERE digest = $1", d).Scan(&held); err != nil {
			return failed(err, "finding the blob")
		}
		return bs.store.linkBlob(ctx, tx, repository, d)
	})
	if err != nil {
		return failed(err, "linking blob %s in %s", d, repository)
	}
	return nil
}

// Linked tells whether a repository links a blob, stored or not.
func (bs *Blobs) Linked(ctx context.Context, repository string, d digest.Digest) (bool, error) {
	found, err := bs.store.yes(ctx, `
		SELECT EXISTS (
			SELECT 1 FROM repositories r JOIN blob_links l ON l.repository_id = r.id
			WHERE r.name = $1 AND l.digest = $2)`, repository, d)
	if err != nil {
		return false, failed(err, "looking for blob %s in %s", d, repository)
	}
	return found, nil
}

// Unlink makes a blob unreadable in one repository. ErrNotFound says that the
// repository does not link it.
func (bs *Blobs) Unlink(ctx context.Context, repository string, d digest.Digest) error {
	err := oneChanged(bs.store.change(ctx, `
		DELETE FROM blob_links
		WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2`, repository, d))
	if err != nil {
		return failed(err, "unlinking blob %s in %s", d, repository)
	}
	return nil
}

// linkBlob links a blob whose row is there. The error is a *QuotaError where the project
// has no room for it.
func (s *store) linkBlob(ctx context.Context, tx *sql.Tx, repository string, d digest.Digest) error {
	id, err := s.ensureRepository(ctx, tx, repository)
	if err != nil {
		return err
	}
	project := oci.Repository(repository).Project()
	quota, err := s.limited(ctx, tx, project, d)
	if err != nil {
		return err
	}
	_, err = change(ctx, tx, `
		INSERT INTO blob_links (repository_id, digest, used_at) VALUES ($1, $2, $3)
		ON CONFLICT (repository_id, digest) DO UPDATE SET used_at = excluded.used_at`, id, d, stamp{s.now()})
	if err != nil || quota == 0 {
		return err
	}
	return s.withinQuota(ctx, tx, project, quota)
}

func scanBlob(r row) (Blob, error) {
	var b Blob
	err := r.Scan(&b.Digest, &b.Key, &b.Size)
	return b, err
}
