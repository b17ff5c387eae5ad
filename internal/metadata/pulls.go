package metadata

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// Pull is when a manifest of a repository was last pulled.
type Pull struct {
	Repository string
	Digest     digest.Digest
	At         time.Time
	// Images is how many times an image was pulled by it: an index is none by itself.
	Images int64
}

// Pulled remembers pulls, all or none. A time only ever goes forward, and when what the
// repository no longer links was pulled is forgotten.
func (ms *Manifests) Pulled(ctx context.Context, pulls []Pull) error {
	if len(pulls) == 0 {
		return nil
	}
	// In one order everywhere, or replicas would wait for each other's rows.
	ordered := slices.SortedFunc(slices.Values(pulls), func(a, b Pull) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Digest, b.Digest))
	})
	err := ms.store.update(ctx, func(tx *sql.Tx) error {
		set, err := tx.PrepareContext(ctx, `
			UPDATE manifest_links SET pulled_at = $3
			WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2
				AND (pulled_at IS NULL OR pulled_at < $3)`)
		if err != nil {
			return err
		}
		defer func() { _ = set.Close() }()
		for _, p := range ordered {
			if _, err := set.ExecContext(ctx, p.Repository, p.Digest, stamp{p.At}); err != nil {
				return err
			}
		}
		return countPulls(ctx, tx, ordered)
	})
	if err != nil {
		return failed(err, "remembering %d pulls", len(pulls))
	}
	return nil
}

// countPulls adds to the counts of repositories, one after the other in the order of pulls.
func countPulls(ctx context.Context, tx *sql.Tx, ordered []Pull) error {
	for first := 0; first < len(ordered); {
		next, images := first, int64(0)
		for ; next < len(ordered) && ordered[next].Repository == ordered[first].Repository; next++ {
			images += ordered[next].Images
		}
		if images > 0 {
			if _, err := tx.ExecContext(ctx, "UPDATE repositories SET pulls = pulls + $2 WHERE name = $1", ordered[first].Repository, images); err != nil {
				return err
			}
		}
		first = next
	}
	return nil
}
