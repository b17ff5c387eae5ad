package metadata

import (
	"context"
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
}

// Projects keeps the projects.
type Projects struct{ store *store }

const insertProject = `
	INSERT INTO projects (name, kind, description, creator, created_at)
	VALUES ($1, $2, $3, $4, $5)
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
	return ps.store.change(ctx, insertProject, p.Name, p.Kind, p.Description, p.Creator, stamp{p.CreatedAt})
}

// Get finds a project by its name.
func (ps *Projects) Get(ctx context.Context, name string) (Project, error) {
	p, err := one(ctx, ps.store, scanProject, `
		SELECT name, kind, description, creator, created_at FROM projects WHERE name = $1`, name)
	if err != nil {
		return Project{}, failed(err, "reading project %s", name)
	}
	return p, nil
}

// List tells at most limit projects whose names sort after the one given.
func (ps *Projects) List(ctx context.Context, after string, limit int) ([]Project, error) {
	all, err := list(ctx, ps.store, scanProject, `
		SELECT name, kind, description, creator, created_at FROM projects
		WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed(err, "listing projects")
	}
	return all, nil
}

func scanProject(r row) (Project, error) {
	var p Project
	err := r.Scan(&p.Name, &p.Kind, &p.Description, &p.Creator, scanStamp{&p.CreatedAt})
	return p, err
}
