package metadata

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// Manifest is a manifest and what it says of itself.
type Manifest struct {
	oci.Manifest
	Subject      digest.Digest // "" when it refers to no other manifest
	ArtifactType string        // what a list of referrers calls it
}

// PutManifest is one push of a manifest.
type PutManifest struct {
	Repository string
	Manifest   Manifest
	// Blobs and Manifests have to be readable in the repository already.
	Blobs, Manifests []digest.Digest
	Tags             []string
	CheckedAt        time.Time // when the upstream confirmed the tags; zero in hosted projects
	Actor            string    // on whose behalf, for the tags' history
	Keeps            Keeps     // nil: every tag may be moved
	// Pushed has webhooks hear of each of the tags.
	Pushed bool
}

// MissingError says which blobs and manifests that a push needs its repository does
// not have, each once and in the order given.
type MissingError struct{ Blobs, Manifests []digest.Digest }

func (e *MissingError) Error() string {
	return fmt.Sprintf("the repository lacks %d blobs and %d manifests that it refers to", len(e.Blobs), len(e.Manifests))
}

// Put keeps a manifest, makes it readable in one repository, which is created if
// need be, and sets its tags there, all or nothing. The links of the blobs that it
// names count as used now, its subject and the manifests that it needs as pushed now.
// ErrNotFound says that the project does not exist, a
// *MissingError that the repository lacks what the manifest needs. An error of Keeps
// leaves everything as it was.
func (ms *Manifests) Put(ctx context.Context, p PutManifest) error {
	named := oci.NamedDigests(p.Manifest.Content)
	err := ms.store.update(ctx, func(tx *sql.Tx) error {
		if err := ms.store.require(ctx, tx, p); err != nil {
			return err
		}
		id, err := ms.store.ensureRepository(ctx, tx, p.Repository)
		if err != nil {
			return err
		}
		if err := ms.store.keepManifest(ctx, tx, id, p.Manifest); err != nil {
			return err
		}
		if err := ms.store.useBlobs(ctx, tx, id, named); err != nil {
			return err
		}
		if err := ms.store.pushAgain(ctx, tx, id, p); err != nil {
			return err
		}
		for _, name := range p.Tags {
			if err := keepTag(ctx, tx, p.Keeps, id, name, p.Manifest.Digest); err != nil {
				return err
			}
			if err := ms.store.setTag(ctx, tx, id, name, p.Manifest.Digest, p.CheckedAt, p.Actor); err != nil {
				return failed(err, "setting tag %s", name)
			}
			if err := ms.store.tellPush(ctx, tx, p, name); err != nil {
				return err
			}
		}
		return ms.store.announce(ctx, tx, ofRepository(p.Repository))
	})
	if err != nil {
		return failed(err, "keeping manifest %s in %s", p.Manifest.Digest, p.Repository)
	}
	return nil
}

// tellPush comes after the tag is set: pushes of one tag wait there for one another.
func (s *store) tellPush(ctx context.Context, tx *sql.Tx, p PutManifest, tag string) error {
	if !p.Pushed {
		return nil
	}
	return s.tell(ctx, tx, Event{
		Kind: EventPush, Project: oci.Repository(p.Repository).Project(), Repository: p.Repository,
		Tag: tag, Digest: p.Manifest.Digest, Actor: p.Actor, At: s.now(),
	})
}

// keepTag asks whether a tag that names another manifest may be moved.
func keepTag(ctx context.Context, tx *sql.Tx, keeps Keeps, repositoryID int64, tag string, d digest.Digest) error {
	return askTags(ctx, tx, keeps, "SELECT name FROM tags WHERE repository_id = $1 AND name = $2 AND digest <> $3", repositoryID, tag, d)
}

// require refuses a push that needs what its repository does not have.
func (s *store) require(ctx context.Context, tx *sql.Tx, p PutManifest) error {
	blobs, err := lacking(ctx, tx, `
		SELECT b.digest FROM repositories r
		JOIN blob_links l ON l.repository_id = r.id
		JOIN blobs b ON b.digest = l.digest
		WHERE r.name = $1 AND l.digest `+s.among("$2"), p.Repository, p.Blobs)
	if err != nil {
		return fmt.Errorf("looking for its blobs: %w", err)
	}
	manifests, err := lacking(ctx, tx, `
		SELECT l.digest FROM repositories r JOIN manifest_links l ON l.repository_id = r.id
		WHERE r.name = $1 AND l.digest `+s.among("$2"), p.Repository, p.Manifests)
	if err != nil {
		return fmt.Errorf("looking for the manifests that it lists: %w", err)
	}
	if len(blobs)+len(manifests) > 0 {
		return &MissingError{Blobs: blobs, Manifests: manifests}
	}
	return nil
}

// lacking returns those of needed that a query for them in a repository does not find.
func lacking(ctx context.Context, tx *sql.Tx, query, repository string, needed []digest.Digest) ([]digest.Digest, error) {
	if len(needed) == 0 {
		return nil, nil
	}
	names, err := asJSON(needed)
	if err != nil {
		return nil, err
	}
	found, err := tryList(ctx, tx, scanOne[digest.Digest], query, repository, names)
	if err != nil {
		return nil, err
	}
	return without(needed, found), nil
}

// useBlobs notes that a manifest names blobs, so that a collector which has read the
// repository's manifests before does not unlink them after.
func (s *store) useBlobs(ctx context.Context, tx *sql.Tx, repositoryID int64, named []digest.Digest) error {
	if len(named) == 0 {
		return nil
	}
	names, err := asJSON(named)
	if err != nil {
		return err
	}
	now := s.now()
	_, err = change(ctx, tx, `
		UPDATE blob_links SET used_at = $3
		WHERE repository_id = $1 AND digest `+s.among("$2")+` AND (used_at IS NULL OR used_at < $4)`,
		repositoryID, names, stamp{now}, stamp{now.Add(-UseResolution)})
	if err != nil {
		return fmt.Errorf("noting that it uses its blobs: %w", err)
	}
	return nil
}

// pushAgain notes that manifests are pushed with one that refers to them, so that a
// retention which has read the repository before does not retire them after.
func (s *store) pushAgain(ctx context.Context, tx *sql.Tx, repositoryID int64, p PutManifest) error {
	referred := slices.Clone(p.Manifests)
	if p.Manifest.Subject != "" {
		referred = append(referred, p.Manifest.Subject)
	}
	if len(referred) == 0 {
		return nil
	}
	names, err := asJSON(referred)
	if err != nil {
		return err
	}
	_, err = change(ctx, tx, `
		UPDATE manifest_links SET pushed_at = $3 WHERE repository_id = $1 AND digest `+s.among("$2"),
		repositoryID, names, stamp{s.now()})
	if err != nil {
		return fmt.Errorf("noting that it refers to its manifests: %w", err)
	}
	return nil
}

func (s *store) keepManifest(ctx context.Context, tx *sql.Tx, repositoryID int64, m Manifest) error {
	_, err := change(ctx, tx, `
		INSERT INTO manifests (digest, content) VALUES ($1, $2)
		ON CONFLICT (digest) DO NOTHING`, m.Digest, m.Content)
	if err != nil {
		return fmt.Errorf("keeping the bytes: %w", err)
	}
	_, err = change(ctx, tx, `
		INSERT INTO manifest_links (repository_id, digest, media_type, subject, artifact_type, pushed_at)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (repository_id, digest) DO UPDATE SET
			media_type = excluded.media_type, subject = excluded.subject, artifact_type = excluded.artifact_type,
			pushed_at = excluded.pushed_at`,
		repositoryID, m.Digest, m.MediaType, m.Subject, m.ArtifactType, stamp{s.now()})
	if err != nil {
		return fmt.Errorf("linking the bytes: %w", err)
	}
	return nil
}
