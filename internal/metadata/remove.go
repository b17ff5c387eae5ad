package metadata

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Keeps says why a tag may neither be removed nor moved to another manifest; nil: it may.
type Keeps func(tag string) error

// Removed is what a removal leaves to whoever asked for it.
type Removed struct {
	// Repositories are those that are no more.
	Repositories []string
	// Uploads are the sessions that are no more; their bytes are still in storage.
	Uploads []Upload
}

// Deletion is the end of a repository.
type Deletion struct {
	Repository string
	// Keeps is asked for each of its tags, and its error leaves everything as it was.
	Keeps Keeps
	// Roles of its project that are about this repository alone go with it, and so do the
	// bindings that give them: the next repository of its name is not open to the same people.
	Roles []string
}

// Delete removes a repository with its manifests, tags, links of blobs, uploads, imports
// and roles, all or nothing. ErrNotFound says that there is no such repository.
func (rs *Repositories) Delete(ctx context.Context, d Deletion) (Removed, error) {
	var gone Removed
	err := rs.store.update(ctx, func(tx *sql.Tx) error {
		var id int64
		var project string
		if err := tx.QueryRowContext(ctx, "SELECT id, project FROM repositories WHERE name = $1", d.Repository).Scan(&id, &project); err != nil {
			return err
		}
		if err := askTags(ctx, tx, d.Keeps, "SELECT name FROM tags WHERE repository_id = $1 ORDER BY name", id); err != nil {
			return err
		}
		var err error
		if gone, err = rs.store.removeRepositories(ctx, tx, "r.name = $1", "u.repository = $1", d.Repository); err != nil {
			return err
		}
		if err := rs.store.removeRoles(ctx, tx, project, d.Roles); err != nil {
			return err
		}
		return rs.store.tellDeletion(ctx, tx, d.Repository, "", "")
	})
	if err != nil {
		return Removed{}, failed(err, "deleting repository %s", d.Repository)
	}
	return gone, nil
}

// Delete removes a project with its repositories and all that they hold, its service
// accounts, roles, role bindings, credentials and rules of retention, all or nothing. ErrNotFound says
// that there is no such project.
func (ps *Projects) Delete(ctx context.Context, name string) (Removed, error) {
	var gone Removed
	err := ps.store.update(ctx, func(tx *sql.Tx) error {
		var err error
		// The character after a slash is 0: this is every name below the project.
		gone, err = ps.store.removeRepositories(ctx, tx, "r.project = $1", "u.repository > CAST($1 AS TEXT) || '/' AND u.repository < CAST($1 AS TEXT) || '0'", name)
		if err != nil {
			return err
		}
		for _, of := range []string{"role_bindings", "roles", "upstream_credentials"} {
			if _, err := change(ctx, tx, "DELETE FROM "+of+" WHERE project = $1", name); err != nil {
				return fmt.Errorf("deleting its %s: %w", of, err)
			}
		}
		// Service accounts and retention go with the row, by their foreign keys.
		if err := oneChanged(change(ctx, tx, "DELETE FROM projects WHERE name = $1", name)); err != nil {
			return err
		}
		if err := ps.store.announce(ctx, tx, ofAccounts()); err != nil {
			return err
		}
		if err := ps.store.announce(ctx, tx, ofCredentials()); err != nil {
			return err
		}
		return ps.store.announce(ctx, tx, ofAccess())
	})
	if err != nil {
		return Removed{}, failed(err, "deleting project %s", name)
	}
	ps.store.changes.apply(ofCredentials())
	return gone, nil
}

// removeRoles removes roles of a project and the bindings that give them.
func (s *store) removeRoles(ctx context.Context, tx *sql.Tx, project string, roles []string) error {
	if len(roles) == 0 {
		return nil
	}
	names, err := asJSON(roles)
	if err != nil {
		return err
	}
	var removed int64
	for _, query := range []string{
		"DELETE FROM role_bindings WHERE project = $1 AND role_kind = 'Role' AND role_name " + s.among("$2"),
		"DELETE FROM roles WHERE project = $1 AND name " + s.among("$2"),
	} {
		changed, err := change(ctx, tx, query, project, names)
		if err != nil {
			return fmt.Errorf("deleting its roles: %w", err)
		}
		removed += changed
	}
	if removed == 0 {
		return nil
	}
	return s.announce(ctx, tx, ofAccess())
}

// askTags asks keeps for each of the tags that a query finds.
func askTags(ctx context.Context, tx *sql.Tx, keeps Keeps, query string, args ...any) error {
	if keeps == nil {
		return nil
	}
	tags, err := tryList(ctx, tx, scanOne[string], query, args...)
	if err != nil {
		return fmt.Errorf("reading the tags: %w", err)
	}
	for _, tag := range tags {
		if err := keeps(tag); err != nil {
			return err
		}
	}
	return nil
}

// mayGo asks keeps, if there is anybody to ask, for one tag.
func mayGo(keeps Keeps, tag string) error {
	if keeps == nil {
		return nil
	}
	return keeps(tag)
}

// removeRepositories removes the repositories, called r, and the uploads, called u, for
// which conditions on $1 hold.
func (s *store) removeRepositories(ctx context.Context, tx *sql.Tx, repositories, uploads, value string) (gone Removed, err error) {
	gone.Uploads, err = tryList(ctx, tx, scanUpload, "DELETE FROM uploads AS u WHERE "+uploads+" RETURNING "+uploadColumns, value)
	if err != nil {
		return Removed{}, fmt.Errorf("deleting the uploads: %w", err)
	}
	manifests, err := tryList(ctx, tx, scanOne[digest.Digest], `
		DELETE FROM manifest_links WHERE repository_id IN (SELECT r.id FROM repositories r WHERE `+repositories+`)
		RETURNING digest`, value)
	if err != nil {
		return Removed{}, fmt.Errorf("deleting the manifests: %w", err)
	}
	// The tags have gone with the links of their manifests, by their foreign keys; so do
	// history, links of blobs and imports with the repositories.
	gone.Repositories, err = tryList(ctx, tx, scanOne[string], "DELETE FROM repositories AS r WHERE "+repositories+" RETURNING name", value)
	if err != nil {
		return Removed{}, err
	}
	if err := s.dropAllUnlinked(ctx, tx, manifests); err != nil {
		return Removed{}, err
	}
	for _, name := range gone.Repositories {
		if err := s.announce(ctx, tx, ofRepository(name)); err != nil {
			return Removed{}, err
		}
	}
	return gone, nil
}

// dropAllUnlinked drops the bytes of those manifests that no repository has any more.
func (s *store) dropAllUnlinked(ctx context.Context, tx *sql.Tx, all []digest.Digest) error {
	if len(all) == 0 {
		return nil
	}
	names, err := asJSON(all)
	if err != nil {
		return err
	}
	_, err = change(ctx, tx, `
		DELETE FROM manifests
		WHERE digest `+s.among("$1")+` AND NOT EXISTS (SELECT 1 FROM manifest_links l WHERE l.digest = manifests.digest)`, names)
	if err != nil {
		return fmt.Errorf("dropping the bytes of manifests: %w", err)
	}
	return nil
}
