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
}

// Pulled remembers pulls, all or none. A time only ever goes forward, and a pull of
// what the repository no longer links is forgotten.
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
		return nil
	})
	if err != nil {
		return failed(err, "remembering %d pulls", len(pulls))
	}
	return nil
}
