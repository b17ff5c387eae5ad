package metadata

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
)

// Import is a tag that is taken from another registry, and how that went last.
type Import struct {
	Repository string
	Tag        string
	Source     string // where the image is taken from
	Scheduled  bool   // the source is followed
	Creator    string
	Member     bool // the project's own credentials may be used while Creator is a member of it
	CreatedAt  time.Time
	CheckedAt  time.Time     // when the source was last asked; zero: never
	ImportedAt time.Time     // when the tag was last set; zero: never
	Digest     digest.Digest // what the tag was last set to, "" at first
	Reason     string        // why the last try failed, in one word; "" when it did not
	Message    string
}

// Imports keeps the imports, one for each tag.
type Imports struct{ store *store }

const importColumns = `r.name, i.tag, i.source, i.scheduled, i.creator, i.created_at, i.checked_at, i.imported_at, i.digest, i.reason, i.message,
	coalesce(i.member_at = i.created_at, FALSE)`

// Set adds the import of a tag, or replaces it. The repository is created if need be;
// ErrNotFound says that its project does not exist.
func (is *Imports) Set(ctx context.Context, i Import) error {
	err := is.store.update(ctx, func(tx *sql.Tx) error {
		id, err := is.store.ensureRepository(ctx, tx, i.Repository)
		if err != nil {
			return err
		}
		var memberAt time.Time
		if i.Member {
			memberAt = i.CreatedAt
		}
		_, err = change(ctx, tx, `
			INSERT INTO imports (repository_id, tag, source, scheduled, creator, created_at, checked_at, imported_at, digest, reason, message, member_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
			ON CONFLICT (repository_id, tag) DO UPDATE SET
				source = excluded.source, scheduled = excluded.scheduled, creator = excluded.creator, created_at = excluded.created_at,
				checked_at = excluded.checked_at, imported_at = excluded.imported_at, digest = excluded.digest,
				reason = excluded.reason, message = excluded.message, member_at = excluded.member_at`,
			id, i.Tag, i.Source, i.Scheduled, i.Creator, stamp{i.CreatedAt}, stamp{i.CheckedAt}, stamp{i.ImportedAt}, i.Digest, i.Reason, i.Message, stamp{memberAt})
		return err
	})
	if err != nil {
		return failed(err, "keeping the import of %s:%s", i.Repository, i.Tag)
	}
	return nil
}

// Tried remembers how the last try of an import went; ErrNotFound says that it was
// deleted or given another source meanwhile.
func (is *Imports) Tried(ctx context.Context, i Import) error {
	err := oneChanged(is.store.change(ctx, `
		UPDATE imports SET checked_at = $4, imported_at = $5, digest = $6, reason = $7, message = $8
		WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND tag = $2 AND source = $3`,
		i.Repository, i.Tag, i.Source, stamp{i.CheckedAt}, stamp{i.ImportedAt}, i.Digest, i.Reason, i.Message))
	if err != nil {
		return failed(err, "remembering how the import of %s:%s went", i.Repository, i.Tag)
	}
	return nil
}

// Of tells the imports of a repository, ordered by tag.
func (is *Imports) Of(ctx context.Context, repository string) ([]Import, error) {
	all, err := list(ctx, is.store, scanImport, `
		SELECT `+importColumns+` FROM imports i JOIN repositories r ON r.id = i.repository_id
		WHERE r.name = $1 ORDER BY i.tag`, repository)
	if err != nil {
		return nil, failed(err, "reading the imports of %s", repository)
	}
	return all, nil
}

// Due tells at most limit imports that follow their sources and were not tried since a
// time, those that have waited longest first.
func (is *Imports) Due(ctx context.Context, since time.Time, limit int) ([]Import, error) {
	all, err := list(ctx, is.store, scanImport, `
		SELECT `+importColumns+` FROM imports i JOIN repositories r ON r.id = i.repository_id
		WHERE i.scheduled AND (i.checked_at IS NULL OR i.checked_at < $1)
		ORDER BY coalesce(i.checked_at, 0), r.name, i.tag LIMIT $2`, stamp{since}, limit)
	if err != nil {
		return nil, failed(err, "looking for imports that are due")
	}
	return all, nil
}

// Delete removes the import of a tag; the tag stays. That there is none is no error.
func (is *Imports) Delete(ctx context.Context, repository, tag string) error {
	err := oneChanged(is.store.change(ctx, `
		DELETE FROM imports
		WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND tag = $2`, repository, tag))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return failed(err, "deleting the import of %s:%s", repository, tag)
	}
	return nil
}

func scanImport(r row) (Import, error) {
	var i Import
	err := r.Scan(&i.Repository, &i.Tag, &i.Source, &i.Scheduled, &i.Creator, scanStamp{&i.CreatedAt},
		scanStamp{&i.CheckedAt}, scanStamp{&i.ImportedAt}, &i.Digest, &i.Reason, &i.Message, &i.Member)
	return i, err
}
