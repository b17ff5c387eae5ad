package metadata

import (
	"context"
	"database/sql"
	"fmt"
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
	Tags       []string
	CheckedAt  time.Time // when the upstream confirmed the tags; zero in hosted projects
	Actor      string    // on whose behalf, for the tags' history
}

// Put keeps a manifest, makes it readable in one repository, which is created if
// need be, and sets its tags there, all or nothing. ErrNotFound says that the
// project does not exist.
func (ms *Manifests) Put(ctx context.Context, p PutManifest) error {
	err := ms.store.update(ctx, func(tx *sql.Tx) error {
		id, err := ms.store.ensureRepository(ctx, tx, p.Repository)
		if err != nil {
			return err
		}
		if err := ms.store.keepManifest(ctx, tx, id, p.Manifest); err != nil {
			return err
		}
		for _, name := range p.Tags {
			if err := ms.store.setTag(ctx, tx, id, name, p.Manifest.Digest, p.CheckedAt, p.Actor); err != nil {
				return failed(err, "setting tag %s", name)
			}
		}
		return ms.store.announce(ctx, tx, ofRepository(p.Repository))
	})
	if err != nil {
		return failed(err, "keeping manifest %s in %s", p.Manifest.Digest, p.Repository)
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
