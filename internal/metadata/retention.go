package metadata

import (
	"context"
	"time"
)

// Retention is what a project keeps, in the words of package gc.
type Retention struct {
	Project   string
	Rules     string // JSON
	UpdatedAt time.Time
	Actor     string // who set it
}

// Retentions keeps the retention rules of projects. A project without keeps everything.
type Retentions struct{ store *store }

// Set gives a project its rules, in place of those that it has. ErrNotFound says that
// the project does not exist.
func (rs *Retentions) Set(ctx context.Context, r Retention) error {
	err := oneChanged(rs.store.change(ctx, `
		INSERT INTO retention (project, rules, updated_at, actor)
		SELECT p.name, $2, $3, $4 FROM projects p WHERE p.name = $1
		ON CONFLICT (project) DO UPDATE SET
			rules = excluded.rules, updated_at = excluded.updated_at, actor = excluded.actor`,
		r.Project, r.Rules, stamp{r.UpdatedAt}, r.Actor))
	if err != nil {
		return failed(err, "setting the retention of project %s", r.Project)
	}
	return nil
}

// Get finds the rules of a project; ErrNotFound says that it has none.
func (rs *Retentions) Get(ctx context.Context, project string) (Retention, error) {
	r, err := one(ctx, rs.store, scanRetention, `
		SELECT project, rules, updated_at, actor FROM retention WHERE project = $1`, project)
	if err != nil {
		return Retention{}, failed(err, "reading the retention of project %s", project)
	}
	return r, nil
}

// List tells at most limit rules of projects whose names sort after the one given.
func (rs *Retentions) List(ctx context.Context, after string, limit int) ([]Retention, error) {
	all, err := list(ctx, rs.store, scanRetention, `
		SELECT project, rules, updated_at, actor FROM retention
		WHERE project > $1 ORDER BY project LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed(err, "listing the retention of projects")
	}
	return all, nil
}

// Delete takes a project's rules away; ErrNotFound says that it has none.
func (rs *Retentions) Delete(ctx context.Context, project string) error {
	err := oneChanged(rs.store.change(ctx, "DELETE FROM retention WHERE project = $1", project))
	if err != nil {
		return failed(err, "deleting the retention of project %s", project)
	}
	return nil
}

func scanRetention(r row) (Retention, error) {
	var t Retention
	err := r.Scan(&t.Project, &t.Rules, scanStamp{&t.UpdatedAt}, &t.Actor)
	return t, err
}
