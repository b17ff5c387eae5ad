package metadata

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// ManifestLink is what is known of a manifest in one repository, beside its bytes.
// Times are zero where they are not known.
type ManifestLink struct {
	Digest    digest.Digest
	MediaType string
	Size      int64         // of the manifest itself, in bytes
	Subject   digest.Digest // "" when it refers to no other manifest
	PushedAt  time.Time     // when it was last pushed or fetched
	PulledAt  time.Time     // when it was last pulled; lags by seconds
	Pinned    bool          // by its digest, or by a tag
	Vanished  bool          // the upstream no longer has a tag of it
}

func selectLinks() string {
	return `
	SELECT l.digest, l.media_type, LENGTH(m.content), l.subject, l.pushed_at, l.pulled_at,
		` + pinned("l.repository_id", "l.digest") + `, ` + vanished("l.repository_id", "l.digest") + `
	FROM repositories r
	JOIN manifest_links l ON l.repository_id = r.id
	JOIN manifests m ON m.digest = l.digest`
}

// LinksOf tells of those of some manifests that a repository has, ordered by digest.
func (ms *Manifests) LinksOf(ctx context.Context, repository string, digests []digest.Digest) ([]ManifestLink, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	names, err := asJSON(digests)
	if err != nil {
		return nil, err
	}
	all, err := list(ctx, ms.store, scanManifestLink, selectLinks()+`
		WHERE r.name = $1 AND l.digest `+ms.store.among("$2")+` ORDER BY l.digest`, repository, names)
	if err != nil {
		return nil, failed(err, "reading manifests of %s", repository)
	}
	return all, nil
}

// Links tells at most limit manifests of a repository whose digests sort after the
// one given. A repository that does not exist has none.
func (ms *Manifests) Links(ctx context.Context, repository string, after digest.Digest, limit int) ([]ManifestLink, error) {
	all, err := list(ctx, ms.store, scanManifestLink, selectLinks()+`
		WHERE r.name = $1 AND l.digest > $2 ORDER BY l.digest LIMIT $3`, repository, after, limit)
	if err != nil {
		return nil, failed(err, "listing the manifests of %s", repository)
	}
	return all, nil
}

func scanManifestLink(r row) (ManifestLink, error) {
	var l ManifestLink
	err := r.Scan(&l.Digest, &l.MediaType, &l.Size, &l.Subject,
		scanStamp{&l.PushedAt}, scanStamp{&l.PulledAt}, &l.Pinned, &l.Vanished)
	return l, err
}

// Untagging is when a tag last moved away from a manifest or was removed.
type Untagging struct {
	Digest digest.Digest
	At     time.Time
}

// Untagged tells of at most limit manifests of a repository, held or not, whose digests
// sort after the one given, when they last lost a tag, as far as the history of tags
// goes back.
func (ms *Manifests) Untagged(ctx context.Context, repository string, after digest.Digest, limit int) ([]Untagging, error) {
	all, err := list(ctx, ms.store, scanUntagging, `
		SELECT u.digest, MAX(u.lost_at) FROM (
			SELECT h.digest, LEAD(h.moved_at) OVER (PARTITION BY h.name ORDER BY h.id) AS lost_at
			FROM repositories r JOIN tag_history h ON h.repository_id = r.id WHERE r.name = $1
		) u
		WHERE u.lost_at IS NOT NULL AND u.digest > $2
		GROUP BY u.digest ORDER BY u.digest LIMIT $3`, repository, after, limit)
	if err != nil {
		return nil, failed(err, "listing what lost a tag in %s", repository)
	}
	return all, nil
}

func scanUntagging(r row) (Untagging, error) {
	var u Untagging
	err := r.Scan(&u.Digest, scanStamp{&u.At})
	return u, err
}
