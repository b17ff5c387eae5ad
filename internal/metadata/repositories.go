package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// Visibility tells whether an upstream shows a repository to strangers.
type Visibility struct {
	Public    bool
	Known     bool // false: never found out
	CheckedAt time.Time
}

// Repositories keeps the repositories.
type Repositories struct{ store *store }

// Create adds a repository unless it is there already. ErrNotFound says that its
// project does not exist.
func (rs *Repositories) Create(ctx context.Context, name string) error {
	err := rs.store.update(ctx, func(tx *sql.Tx) error {
		_, err := rs.store.ensureRepository(ctx, tx, name)
		return err
	})
	if err != nil {
		return failed(err, "creating repository %s", name)
	}
	return nil
}

// Repository is what is said of a repository, and how much it holds.
type Repository struct {
	Name        string
	Description string // one line
	Readme      string // Markdown
	CreatedAt   time.Time
	Tags        int       // how many
	UpdatedAt   time.Time // when a tag was last set; zero: there is none
	Pulls       int64     // how many images were pulled from it; lags by seconds
	Stars       int       // how many have starred it
	LocalLookup bool      // short names in pods may mean it
	Shown       bool      // by what SetVisibility was last told, its upstream shows it to strangers
}

const selectRepositories = `
	SELECT r.name, r.description, r.readme, r.created_at,
		(SELECT COUNT(*) FROM tags t WHERE t.repository_id = r.id),
		(SELECT MAX(t.updated_at) FROM tags t WHERE t.repository_id = r.id),
		r.pulls, (SELECT COUNT(*) FROM stars s WHERE s.repository_id = r.id), r.local_lookup, r.public
	FROM repositories r`

func scanRepository(r row) (Repository, error) {
	var (
		found Repository
		shown sql.NullBool
	)
	err := r.Scan(&found.Name, &found.Description, &found.Readme, scanStamp{&found.CreatedAt}, &found.Tags, scanStamp{&found.UpdatedAt}, &found.Pulls, &found.Stars, &found.LocalLookup, &shown)
	found.Shown = shown.Bool
	return found, err
}

// Get finds a repository by its name.
func (rs *Repositories) Get(ctx context.Context, name string) (Repository, error) {
	r, err := one(ctx, rs.store, scanRepository, selectRepositories+" WHERE r.name = $1", name)
	if err != nil {
		return Repository{}, failed(err, "reading repository %s", name)
	}
	return r, nil
}

// Describe changes what is said of a repository.
func (rs *Repositories) Describe(ctx context.Context, name, description, readme string) error {
	err := oneChanged(rs.store.change(ctx, `
		UPDATE repositories SET description = $2, readme = $3 WHERE name = $1`, name, description, readme))
	if err != nil {
		return failed(err, "describing repository %s", name)
	}
	return nil
}

// Exists tells whether there is a repository of that name.
func (rs *Repositories) Exists(ctx context.Context, name string) (bool, error) {
	found, err := rs.store.yes(ctx, "SELECT EXISTS (SELECT 1 FROM repositories WHERE name = $1)", name)
	if err != nil {
		return false, failed(err, "looking for repository %s", name)
	}
	return found, nil
}

// List tells at most limit repositories whose names sort after the one given.
func (rs *Repositories) List(ctx context.Context, after string, limit int) ([]string, error) {
	all, err := list(ctx, rs.store, scanOne[string], `
		SELECT name FROM repositories WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed(err, "listing repositories")
	}
	return all, nil
}

// ListProject is List for the repositories of one project. Their names, before and
// after, have the project in front.
func (rs *Repositories) ListProject(ctx context.Context, project, after string, limit int) ([]string, error) {
	all, err := list(ctx, rs.store, scanOne[string], `
		SELECT name FROM repositories WHERE project = $1 AND name > $2 ORDER BY name LIMIT $3`, project, after, limit)
	if err != nil {
		return nil, failed(err, "listing the repositories of project %s", project)
	}
	return all, nil
}

// Entries is ListProject with all that is known of the repositories.
func (rs *Repositories) Entries(ctx context.Context, project, after string, limit int) ([]Repository, error) {
	all, err := list(ctx, rs.store, scanRepository, selectRepositories+`
		WHERE r.project = $1 AND r.name > $2 ORDER BY r.name LIMIT $3`, project, after, limit)
	if err != nil {
		return nil, failed(err, "listing the repositories of project %s", project)
	}
	return all, nil
}

// Search tells at most limit repositories whose names or descriptions hold a text, in
// small letters, and whose names sort after the one given. It reads all of them.
func (rs *Repositories) Search(ctx context.Context, text, after string, limit int) ([]Repository, error) {
	all, err := list(ctx, rs.store, scanRepository, selectRepositories+`
		WHERE r.name > $2 AND (r.name LIKE $1 ESCAPE '!' OR LOWER(r.description) LIKE $1 ESCAPE '!')
		ORDER BY r.name LIMIT $3`, "%"+strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)+"%", after, limit)
	if err != nil {
		return nil, failed(err, "searching repositories")
	}
	return all, nil
}

// Visibility tells what SetVisibility was last told; the zero value when it was
// told nothing, or when there is no such repository.
func (rs *Repositories) Visibility(ctx context.Context, name string) (Visibility, error) {
	v, err := one(ctx, rs.store, scanVisibility, `
		SELECT public, visibility_checked_at FROM repositories WHERE name = $1`, name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Visibility{}, failed(err, "reading the visibility of %s", name)
	}
	return v, nil
}

func scanVisibility(r row) (Visibility, error) {
	var (
		v      Visibility
		public sql.NullBool
	)
	err := r.Scan(&public, scanStamp{&v.CheckedAt})
	v.Public, v.Known = public.Bool, public.Valid
	return v, err
}

// SetVisibility remembers whether strangers may see a repository, and when that was
// found out. The repository is created if need be; ErrNotFound says that its
// project does not exist.
func (rs *Repositories) SetVisibility(ctx context.Context, name string, public bool, at time.Time) error {
	err := rs.store.update(ctx, func(tx *sql.Tx) error {
		id, err := rs.store.ensureRepository(ctx, tx, name)
		if err != nil {
			return err
		}
		_, err = change(ctx, tx, `
			UPDATE repositories SET public = $2, visibility_checked_at = $3 WHERE id = $1`, id, public, stamp{at})
		if err != nil {
			return err
		}
		return rs.store.announce(ctx, tx, ofRepository(name))
	})
	if err != nil {
		return failed(err, "setting the visibility of %s", name)
	}
	return nil
}

// ensureRepository finds or makes the repository's row and returns its id.
func (s *store) ensureRepository(ctx context.Context, tx *sql.Tx, name string) (int64, error) {
	project := oci.Repository(name).Project()
	_, err := change(ctx, tx, `
		INSERT INTO repositories (name, project, created_at)
		SELECT $1, p.name, $3 FROM projects p WHERE p.name = $2
		ON CONFLICT (name) DO NOTHING`, name, project, stamp{s.now()})
	if err != nil {
		return 0, fmt.Errorf("creating the repository: %w", err)
	}
	var id int64
	if err := tx.QueryRowContext(ctx, "SELECT id FROM repositories WHERE name = $1", name).Scan(&id); err != nil {
		return 0, failed(err, "project %s", project)
	}
	return id, nil
}
