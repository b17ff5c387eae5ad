package metadata

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// MaxPins is how many pins there may be.
const MaxPins = 10_000

// Pin keeps an image of a repository whatever happens: the one with a digest, or the one
// that a tag names, now and later.
type Pin struct {
	Repository string
	Tag        string        // or
	Digest     digest.Digest // of a manifest that the repository has
	Reason     string
	Actor      string
	CreatedAt  time.Time
	// Until is when it ends by itself; zero: never. Such pins are of images that were seen
	// running in a cluster.
	Until time.Time
}

// ReasonRunning is why an image is pinned that was seen running in a cluster.
const ReasonRunning = "runs in a cluster"

// Pins keeps what is pinned.
type Pins struct{ store *store }

// pinned is true where a manifest is pinned, by its digest, by a tag or because it runs in a
// cluster, in the SQL of the columns that have its repository and its digest.
func pinned(repository, digest string) string {
	return fmt.Sprintf(`(EXISTS (SELECT 1 FROM pins p WHERE p.repository_id = %[1]s AND p.digest = %[2]s)
		OR EXISTS (SELECT 1 FROM running_images ri WHERE ri.repository_id = %[1]s AND ri.digest = %[2]s)
		OR EXISTS (
			SELECT 1 FROM pinned_tags pt JOIN tags tt ON tt.repository_id = pt.repository_id AND tt.name = pt.name
			WHERE pt.repository_id = %[1]s AND tt.digest = %[2]s))`, repository, digest)
}

// vanished is true where a tag of a manifest is gone upstream.
func vanished(repository, digest string) string {
	return fmt.Sprintf(`EXISTS (SELECT 1 FROM tags vt WHERE vt.repository_id = %s AND vt.digest = %s AND vt.vanished_at IS NOT NULL)`, repository, digest)
}

// Set pins an image; one that is pinned already gets the reason and the actor anew. The
// error is ErrNotFound when the repository has no such tag or manifest, and ErrFull when
// there are MaxPins already.
func (ps *Pins) Set(ctx context.Context, p Pin) error {
	err := ps.store.update(ctx, func(tx *sql.Tx) error {
		var count int64
		err := tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM pins) + (SELECT COUNT(*) FROM pinned_tags)`).Scan(&count)
		if err != nil {
			return err
		}
		if count >= MaxPins {
			return ErrFull
		}
		if p.Tag != "" {
			return oneChanged(change(ctx, tx, `
				INSERT INTO pinned_tags (repository_id, name, reason, actor, created_at)
				SELECT t.repository_id, t.name, $3, $4, $5 FROM tags t JOIN repositories r ON r.id = t.repository_id
				WHERE r.name = $1 AND t.name = $2
				ON CONFLICT (repository_id, name) DO UPDATE SET reason = excluded.reason, actor = excluded.actor`,
				p.Repository, p.Tag, p.Reason, p.Actor, stamp{p.CreatedAt}))
		}
		return oneChanged(change(ctx, tx, `
			INSERT INTO pins (repository_id, digest, reason, actor, created_at)
			SELECT l.repository_id, l.digest, $3, $4, $5 FROM manifest_links l JOIN repositories r ON r.id = l.repository_id
			WHERE r.name = $1 AND l.digest = $2
			ON CONFLICT (repository_id, digest) DO UPDATE SET reason = excluded.reason, actor = excluded.actor`,
			p.Repository, p.Digest, p.Reason, p.Actor, stamp{p.CreatedAt}))
	})
	if err != nil {
		return failed(err, "pinning %s of %s", p.name(), p.Repository)
	}
	return nil
}

// Delete takes a pin away. The error is ErrNotFound when there is none.
func (ps *Pins) Delete(ctx context.Context, p Pin) error {
	query, name := `DELETE FROM pins WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2`, string(p.Digest)
	if p.Tag != "" {
		query, name = `DELETE FROM pinned_tags WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND name = $2`, p.Tag
	}
	if err := oneChanged(ps.store.change(ctx, query, p.Repository, name)); err != nil {
		return failed(err, "unpinning %s of %s", p.name(), p.Repository)
	}
	return nil
}

// List tells of at most limit pins, by repository, tag and digest.
func (ps *Pins) List(ctx context.Context, limit int) ([]Pin, error) {
	all, err := list(ctx, ps.store, scanPin, `
		SELECT r.name, pt.name, '', pt.reason, pt.actor, pt.created_at, CAST(NULL AS BIGINT) FROM pinned_tags pt JOIN repositories r ON r.id = pt.repository_id
		UNION ALL
		SELECT r.name, '', p.digest, p.reason, p.actor, p.created_at, NULL FROM pins p JOIN repositories r ON r.id = p.repository_id
		UNION ALL
		SELECT r.name, '', ri.digest, '`+ReasonRunning+`', '', ri.seen_at, ri.until FROM running_images ri JOIN repositories r ON r.id = ri.repository_id
		ORDER BY 1, 2, 3, 7 LIMIT $1`, limit)
	if err != nil {
		return nil, failed(err, "listing the pins")
	}
	return all, nil
}

func (p Pin) name() string {
	if p.Tag != "" {
		return "tag " + p.Tag
	}
	return "manifest " + p.Digest.String()
}

func scanPin(r row) (Pin, error) {
	var p Pin
	err := r.Scan(&p.Repository, &p.Tag, &p.Digest, &p.Reason, &p.Actor, scanStamp{&p.CreatedAt}, scanStamp{&p.Until})
	return p, err
}
