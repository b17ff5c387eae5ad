package metadata

import (
	"context"
	"database/sql"
	"time"

	"github.com/opencontainers/go-digest"
)

// RunningImage is one that was seen running in a cluster: by its digest, or where that is
// not known by its tag.
type RunningImage struct {
	Repository string
	Digest     digest.Digest
	Tag        string
}

// Running pins images that were seen running, until a time; it tells how many of them the
// registry has. What is pinned already is pinned until then.
func (ps *Pins) Running(ctx context.Context, images []RunningImage, seen, until time.Time) (pinned int, err error) {
	err = ps.store.update(ctx, func(tx *sql.Tx) error {
		pinned = 0
		for _, image := range images {
			query, name := runningByTag, image.Tag
			if image.Digest != "" {
				query, name = runningByDigest, image.Digest.String()
			}
			changed, err := change(ctx, tx, query, image.Repository, name, stamp{seen}, stamp{until})
			if err != nil {
				return err
			}
			pinned += int(changed)
		}
		return nil
	})
	if err != nil {
		return 0, failed(err, "pinning %d images that run in a cluster", len(images))
	}
	return pinned, nil
}

const (
	runningByDigest = `
		INSERT INTO running_images (repository_id, digest, seen_at, until)
		SELECT l.repository_id, l.digest, $3, $4 FROM manifest_links l JOIN repositories r ON r.id = l.repository_id
		WHERE r.name = $1 AND l.digest = $2 ` + runningAgain
	runningByTag = `
		INSERT INTO running_images (repository_id, digest, seen_at, until)
		SELECT t.repository_id, t.digest, $3, $4 FROM tags t JOIN repositories r ON r.id = t.repository_id
		WHERE r.name = $1 AND t.name = $2 ` + runningAgain
	runningAgain = `ON CONFLICT (repository_id, digest) DO UPDATE SET seen_at = excluded.seen_at, until = excluded.until`
)

// EndRunning takes the pins away of images that were not seen running again in time.
func (ps *Pins) EndRunning(ctx context.Context, now time.Time) error {
	if _, err := ps.store.change(ctx, "DELETE FROM running_images WHERE until <= $1", stamp{now}); err != nil {
		return failed(err, "unpinning images that run no more")
	}
	return nil
}
