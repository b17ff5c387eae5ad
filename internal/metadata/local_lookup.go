package metadata

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// LocalImage is an image by a short name, of which a repository of one project is to be
// found: with a tag or with a digest.
type LocalImage struct {
	Repository string
	Tag        string        // or
	Digest     digest.Digest // of a manifest
	// Always finds it also where the repository is not looked up by short names.
	Always bool
}

// SetLocalLookup says whether short names in pods may mean a repository.
func (rs *Repositories) SetLocalLookup(ctx context.Context, name string, enabled bool) error {
	err := oneChanged(rs.store.change(ctx, `
		UPDATE repositories SET local_lookup = $2 WHERE name = $1`, name, enabled))
	if err != nil {
		return failed(err, "setting the lookup of repository %s", name)
	}
	return nil
}

// Local finds the manifest that a short name means. The error is ErrNotFound when it means
// none: there is no such repository, it is not looked up, or it does not have the image.
func (rs *Repositories) Local(ctx context.Context, image LocalImage) (digest.Digest, error) {
	query, which := `
		SELECT t.digest FROM repositories r JOIN tags t ON t.repository_id = r.id
		WHERE r.name = $1 AND t.name = $2 AND (r.local_lookup OR $3)`, image.Tag
	if image.Digest != "" {
		query, which = `
		SELECT l.digest FROM repositories r JOIN manifest_links l ON l.repository_id = r.id
		WHERE r.name = $1 AND l.digest = $2 AND (r.local_lookup OR $3)`, image.Digest.String()
	}
	d, err := one(ctx, rs.store, scanOne[digest.Digest], query, image.Repository, which, image.Always)
	if err != nil {
		return "", failed(err, "looking up image %s of %s", which, image.Repository)
	}
	return d, nil
}
