package metadata

import (
	"context"
	"database/sql"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// Manifests keeps the manifests: their bytes once, and a link for each repository
// that has them. What a manifest is called (its media type, subject and artifact
// type) belongs to the link, so a push to one repository changes no other.
type Manifests struct {
	store         *store
	get, getByTag *sql.Stmt
}

const getManifest = `
	SELECT l.digest, l.media_type, m.content
	FROM repositories r
	JOIN manifest_links l ON l.repository_id = r.id
	JOIN manifests m ON m.digest = l.digest
	WHERE r.name = $1 AND l.digest = $2`

const getManifestByTag = `
	SELECT l.digest, l.media_type, m.content, t.name, t.updated_at, t.checked_at
	FROM repositories r
	JOIN tags t ON t.repository_id = r.id
	JOIN manifest_links l ON l.repository_id = t.repository_id AND l.digest = t.digest
	JOIN manifests m ON m.digest = l.digest
	WHERE r.name = $1 AND t.name = $2`

func newManifests(ctx context.Context, s *store) (*Manifests, error) {
	get, err := s.readers.PrepareContext(ctx, getManifest)
	if err != nil {
		return nil, failed(err, "preparing to read manifests")
	}
	getByTag, err := s.readers.PrepareContext(ctx, getManifestByTag)
	if err != nil {
		return nil, failed(err, "preparing to read manifests by tag")
	}
	return &Manifests{store: s, get: get, getByTag: getByTag}, nil
}

// Get finds a manifest that the repository links. It is one query.
func (ms *Manifests) Get(ctx context.Context, repository string, d digest.Digest) (oci.Manifest, error) {
	m, err := ask(ctx, ms.store, func() (oci.Manifest, error) {
		return scanManifest(ms.get.QueryRowContext(ctx, repository, d))
	})
	if err != nil {
		return oci.Manifest{}, failed(err, "reading manifest %s of %s", d, repository)
	}
	return m, nil
}

// GetByTag finds the manifest that a tag names, and the tag. It is one query.
func (ms *Manifests) GetByTag(ctx context.Context, repository, tag string) (oci.Manifest, Tag, error) {
	var t Tag
	m, err := ask(ctx, ms.store, func() (m oci.Manifest, err error) {
		err = ms.getByTag.QueryRowContext(ctx, repository, tag).
			Scan(&m.Digest, &m.MediaType, &m.Content, &t.Name, scanStamp{&t.UpdatedAt}, scanStamp{&t.CheckedAt})
		return m, err
	})
	if err != nil {
		return oci.Manifest{}, Tag{}, failed(err, "reading the manifest of tag %s of %s", tag, repository)
	}
	t.Digest = m.Digest
	return m, t, nil
}

// Held finds a manifest in any repository. Its media type is the one it has in the
// repository that is oldest: whoever makes it readable elsewhere and knows better
// uses Put rather than Link.
func (ms *Manifests) Held(ctx context.Context, d digest.Digest) (oci.Manifest, error) {
	m, err := one(ctx, ms.store, scanManifest, `
		SELECT l.digest, l.media_type, m.content
		FROM manifest_links l JOIN manifests m ON m.digest = l.digest
		WHERE l.digest = $1 ORDER BY l.repository_id LIMIT 1`, d)
	if err != nil {
		return oci.Manifest{}, failed(err, "reading manifest %s of any repository", d)
	}
	return m, nil
}

// Link makes a manifest that is held in any repository readable in this one, which
// is created if need be. ErrNotFound says that no repository holds it, or that the
// project does not exist.
func (ms *Manifests) Link(ctx context.Context, repository string, d digest.Digest) error {
	err := ms.store.update(ctx, func(tx *sql.Tx) error {
		var held digest.Digest
		if err := tx.QueryRowContext(ctx, "SELECT digest FROM manifests WHERE digest = $1", d).Scan(&held); err != nil {
			return failed(err, "finding the manifest")
		}
		id, err := ms.store.ensureRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		_, err = change(ctx, tx, `
			INSERT INTO manifest_links (repository_id, digest, media_type, subject, artifact_type, pushed_at)
			SELECT $1, l.digest, l.media_type, l.subject, l.artifact_type, $3
			FROM manifest_links l WHERE l.digest = $2 ORDER BY l.repository_id LIMIT 1
			ON CONFLICT (repository_id, digest) DO NOTHING`, id, d, stamp{ms.store.now()})
		if err != nil {
			return err
		}
		return ms.store.announce(ctx, tx, ofRepository(repository))
	})
	if err != nil {
		return failed(err, "linking manifest %s in %s", d, repository)
	}
	return nil
}

// Delete makes a manifest unreadable in one repository, together with the tags that
// name it there. Its bytes go with the last repository that has it. Keeps is asked for
// each of its tags, and its error leaves everything as it was. ErrNotFound says that the
// repository does not link it.
func (ms *Manifests) Delete(ctx context.Context, repository string, d digest.Digest, keeps Keeps) error {
	err := ms.store.update(ctx, func(tx *sql.Tx) error {
		tags, err := tryList(ctx, tx, scanOne[string], `
			SELECT name FROM tags
			WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2 ORDER BY name`, repository, d)
		if err != nil {
			return failed(err, "reading the tags")
		}
		for _, tag := range tags {
			if err := mayGo(keeps, tag); err != nil {
				return err
			}
			if err := ms.store.tellDeletion(ctx, tx, repository, tag, ""); err != nil {
				return err
			}
		}
		// The tags go with the link, by their foreign key.
		err = oneChanged(change(ctx, tx, `
			DELETE FROM manifest_links
			WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2`, repository, d))
		if err != nil {
			return err
		}
		if err := dropUnlinked(ctx, tx, d); err != nil {
			return err
		}
		return ms.store.announce(ctx, tx, ofRepository(repository))
	})
	if err != nil {
		return failed(err, "deleting manifest %s of %s", d, repository)
	}
	return nil
}

// List tells at most limit manifests of a repository whose digests sort after the one
// given.
func (ms *Manifests) List(ctx context.Context, repository string, after digest.Digest, limit int) ([]oci.Manifest, error) {
	all, err := list(ctx, ms.store, scanManifest, `
		SELECT l.digest, l.media_type, m.content
		FROM repositories r
		JOIN manifest_links l ON l.repository_id = r.id
		JOIN manifests m ON m.digest = l.digest
		WHERE r.name = $1 AND l.digest > $2 ORDER BY l.digest LIMIT $3`, repository, after, limit)
	if err != nil {
		return nil, failed(err, "reading the manifests of %s", repository)
	}
	return all, nil
}

// Referrers tells at most limit manifests of a repository whose subject is the given
// one, ordered by digest (OCI Distribution 1.1, §Listing Referrers). An artifact type
// of "" means all of them.
func (ms *Manifests) Referrers(ctx context.Context, repository string, subject digest.Digest, artifactType string, limit int) ([]oci.Manifest, error) {
	if subject == "" {
		return nil, nil
	}
	// "subject <> ''" lets both databases see that the partial index holds the rows.
	all, err := list(ctx, ms.store, scanManifest, `
		SELECT l.digest, l.media_type, m.content
		FROM repositories r
		JOIN manifest_links l ON l.repository_id = r.id
		JOIN manifests m ON m.digest = l.digest
		WHERE r.name = $1 AND l.subject = $2 AND l.subject <> '' AND ($3 = '' OR l.artifact_type = $3)
		ORDER BY l.digest LIMIT $4`, repository, subject, artifactType, limit)
	if err != nil {
		return nil, failed(err, "listing the referrers of %s in %s", subject, repository)
	}
	return all, nil
}

func scanManifest(r row) (oci.Manifest, error) {
	var m oci.Manifest
	err := r.Scan(&m.Digest, &m.MediaType, &m.Content)
	return m, err
}
