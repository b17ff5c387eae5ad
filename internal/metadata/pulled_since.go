package metadata

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// PulledImage is a manifest that was pulled, and a tag that names it, if there is one.
type PulledImage struct {
	Repository string
	Tag        string
	Digest     digest.Digest
}

// PulledSince tells of at most limit manifests that were pulled since a time, once for each
// of their tags. It reads all that is known of manifests.
func (ms *Manifests) PulledSince(ctx context.Context, since time.Time, limit int) ([]PulledImage, error) {
	all, err := list(ctx, ms.store, scanPulledImage, `
		SELECT r.name, COALESCE(t.name, ''), l.digest
		FROM manifest_links l JOIN repositories r ON r.id = l.repository_id
		LEFT JOIN tags t ON t.repository_id = l.repository_id AND t.digest = l.digest
		WHERE l.pulled_at >= $1 ORDER BY 1, 2, 3 LIMIT $2`, stamp{since}, limit)
	if err != nil {
		return nil, failed(err, "listing what was pulled")
	}
	return all, nil
}

func scanPulledImage(r row) (PulledImage, error) {
	var p PulledImage
	err := r.Scan(&p.Repository, &p.Tag, &p.Digest)
	return p, err
}
