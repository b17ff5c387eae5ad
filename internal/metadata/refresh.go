package metadata

import (
	"context"
	"time"
)

// RefreshQuery says which tags of a cache project are worth to be kept fresh.
type RefreshQuery struct {
	Project string
	// CheckedBefore leaves out those that the upstream has confirmed since.
	CheckedBefore time.Time
	// PulledSince is since when an image has to have been pulled that the tag names, or has
	// named.
	PulledSince time.Time
	After       TagName // those that follow it, by name
	Limit       int
}

// TagName is a tag of a repository.
type TagName struct{ Repository, Tag string }

// ToRefresh lists tags by name that are pinned, that name or have named an image which runs
// in a cluster, or one that was pulled.
func (ts *Tags) ToRefresh(ctx context.Context, q RefreshQuery) ([]TagName, error) {
	all, err := list(ctx, ts.store, scanTagName, `
		SELECT r.name, t.name FROM repositories r JOIN tags t ON t.repository_id = r.id
		WHERE r.project = $1 AND (t.checked_at IS NULL OR t.checked_at < $2)
			AND (r.name > $4 OR r.name = $4 AND t.name > $5)
			AND (EXISTS (SELECT 1 FROM pinned_tags p WHERE p.repository_id = t.repository_id AND p.name = t.name)
				OR EXISTS (
					SELECT 1 FROM tag_history h JOIN manifest_links l ON l.repository_id = h.repository_id AND l.digest = h.digest
					WHERE h.repository_id = t.repository_id AND h.name = t.name AND l.pulled_at >= $3)
				OR EXISTS (
					SELECT 1 FROM tag_history h JOIN running_images ri ON ri.repository_id = h.repository_id AND ri.digest = h.digest
					WHERE h.repository_id = t.repository_id AND h.name = t.name))
		ORDER BY 1, 2 LIMIT $6`,
		q.Project, stamp{q.CheckedBefore}, stamp{q.PulledSince}, q.After.Repository, q.After.Tag, q.Limit)
	if err != nil {
		return nil, failed(err, "listing the tags of %s to refresh", q.Project)
	}
	return all, nil
}

func scanTagName(r row) (TagName, error) {
	var t TagName
	err := r.Scan(&t.Repository, &t.Tag)
	return t, err
}
