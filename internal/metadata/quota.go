package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// QuotaError refuses a blob with which a project would take more than its quota.
type QuotaError struct {
	Project string
	Quota   int64 // bytes
	Would   int64 // bytes that the project would take
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("project %s would take %d bytes, and its quota is %d", e.Project, e.Would, e.Quota)
}

const usedBytes = `
	SELECT coalesce(sum(b.size), 0) FROM blobs b
	WHERE b.digest IN (
		SELECT l.digest FROM repositories r JOIN blob_links l ON l.repository_id = r.id WHERE r.project = $1)`

// Used tells how many bytes the blobs of a project take, each counted once. Manifests
// are not counted.
func (ps *Projects) Used(ctx context.Context, name string) (int64, error) {
	used, err := one(ctx, ps.store, scanOne[int64], usedBytes, name)
	if err != nil {
		return 0, failed(err, "measuring project %s", name)
	}
	return used, nil
}

// HoldsBlob tells whether a blob is stored and linked in any repository of a project.
func (ps *Projects) HoldsBlob(ctx context.Context, name string, d digest.Digest) (bool, error) {
	holds, err := ps.store.yes(ctx, holdsBlob, name, d)
	if err != nil {
		return false, failed(err, "looking for blob %s in project %s", d, name)
	}
	return holds, nil
}

const holdsBlob = `
	SELECT EXISTS (
		SELECT 1 FROM repositories r
		JOIN blob_links l ON l.repository_id = r.id
		JOIN blobs b ON b.digest = l.digest
		WHERE r.project = $1 AND l.digest = $2)`

// limited tells the quota of the project that a blob is new in: 0 where nothing has to be
// counted, since there is no quota, or the project is a cache, or has the blob already.
func (s *store) limited(ctx context.Context, tx *sql.Tx, project string, d digest.Digest) (quota int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT quota FROM projects WHERE name = $1 AND kind = $2 AND quota > 0", project, Hosted).Scan(&quota)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the quota: %w", err)
	}
	var holds bool
	if err := tx.QueryRowContext(ctx, holdsBlob, project, d).Scan(&holds); err != nil {
		return 0, fmt.Errorf("looking for the blob in the project: %w", err)
	}
	if holds {
		return 0, nil
	}
	return quota, nil
}

// withinQuota is asked when the blob is linked, in the same transaction: transactions
// leave what they would have left one after the other, and so no two that run at once go
// over the quota together. The error is a *QuotaError.
func (s *store) withinQuota(ctx context.Context, tx *sql.Tx, project string, quota int64) error {
	var used int64
	if err := tx.QueryRowContext(ctx, usedBytes, project).Scan(&used); err != nil {
		return fmt.Errorf("measuring the project: %w", err)
	}
	if used > quota {
		return &QuotaError{Project: project, Quota: quota, Would: used}
	}
	return nil
}
