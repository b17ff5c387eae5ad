package metadata

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Kind tells what a project is for.
type Kind string

// The kinds of projects.
const (
	Hosted Kind = "hosted" // people push to it
	Cache  Kind = "cache"  // it mirrors one upstream on demand
)

// Project is the unit of ownership: the first segment of a repository's name.
type Project struct {
	Name        string
	Kind        Kind
	Description string
	Creator     string
	CreatedAt   time.Time
	// Quota is how many bytes the project's blobs may take, 0 for no limit.
	Quota int64
	// ImmutableTags are patterns of tags that stay where they are, in the words of
	// package registry.
	ImmutableTags []string
}

const projectColumns = "name, kind, description, creator, created_at, quota, immutable_tags"

// Projects keeps the projects.
type Projects struct{ store *store }

const insertProject = `
	INSERT INTO projects (` + projectColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT (name) DO NOTHING`

// Create adds a project; ErrExists when there is one of that name.
func (ps *Projects) Create(ctx context.Context, p Project) error {
	changed, err := ps.insert(ctx, p)
	if err == nil && changed == 0 {
		err = ErrExists
	}
	if err != nil {
		return failed(err, "creating project %s", p.Name)
	}
	return nil
}

// Ensure adds a project unless there is one of that name and kind already, which is
// left as it is. ErrExists says that there is one of another kind.
func (ps *Projects) Ensure(ctx context.Context, p Project) error {
	changed, err := ps.insert(ctx, p)
	if err != nil {
		return failed(err, "creating project %s", p.Name)
	}
	if changed == 1 {
		return nil
	}
	there, err := ps.Get(ctx, p.Name)
	if err != nil {
		return err
	}
	if there.Kind != p.Kind {
		return fmt.Errorf("creating %s project %s: a %s project of that name %w", p.Kind, p.Name, there.Kind, ErrExists)
	}
	return nil
}

func (ps *Projects) insert(ctx context.Context, p Project) (int64, error) {
	return ps.store.changeAnnounced(ctx, ofAccess(), insertProject, p.values()...)
}

// values are those of insertProject.
func (p Project) values() []any {
	return []any{p.Name, p.Kind, p.Description, p.Creator, stamp{p.CreatedAt}, p.Quota, words(p.ImmutableTags)}
}

// CreateOwned is Create with the bindings that say who may do what in the project from
// its first moment.
func (ps *Projects) CreateOwned(ctx context.Context, p Project, owners ...RoleBinding) error {
	err := ps.store.update(ctx, func(tx *sql.Tx) error {
		changed, err := change(ctx, tx, insertProject, p.values()...)
		if err != nil {
			return err
		}
		if changed == 0 {
			return ErrExists
		}
		for _, owner := range owners {
			owner.Project = p.Name
			if _, err := change(ctx, tx, insertRoleBinding, owner.values()...); err != nil {
				return fmt.Errorf("creating role binding %s: %w", owner.Name, err)
			}
		}
		return ps.store.announce(ctx, tx, ofAccess())
	})
	if err != nil {
		return failed(err, "creating project %s", p.Name)
	}
	return nil
}

// Update changes a project's description, quota and immutable tags.
func (ps *Projects) Update(ctx context.Context, p Project) error {
	err := oneChanged(ps.store.change(ctx, `
		UPDATE projects SET description = $2, quota = $3, immutable_tags = $4 WHERE name = $1`,
		p.Name, p.Description, p.Quota, words(p.ImmutableTags)))
	if err != nil {
		return failed(err, "changing project %s", p.Name)
	}
	return nil
}

// Get finds a project by its name.
func (ps *Projects) Get(ctx context.Context, name string) (Project, error) {
	p, err := one(ctx, ps.store, scanProject, `
		SELECT `+projectColumns+` FROM projects WHERE name = $1`, name)
	if err != nil {
		return Project{}, failed(err, "reading project %s", name)
	}
	return p, nil
}

// List tells at most limit projects whose names sort after the one given.
func (ps *Projects) List(ctx context.Context, after string, limit int) ([]Project, error) {
	all, err := list(ctx, ps.store, scanProject, `
		SELECT `+projectColumns+` FROM projects
		WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed(err, "listing projects")
	}
	return all, nil
}

func scanProject(r row) (Project, error) {
	var p Project
	err := r.Scan(&p.Name, &p.Kind, &p.Description, &p.Creator, scanStamp{&p.CreatedAt}, &p.Quota, scanWords{&p.ImmutableTags})
	return p, err
}
