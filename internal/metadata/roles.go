package metadata

import (
	"context"
	"database/sql"
	"time"
)

// Role is a set of rights with a name. Those that every registry has are not kept here.
type Role struct {
	Project   string // "" for a role that can be bound in every project
	Name      string
	Rules     string // JSON, in the words of package authz
	Creator   string
	CreatedAt time.Time
}

// Roles keeps the roles that people made.
type Roles struct{ store *store }

// Create adds a role. ErrExists says that there is one of that name in the project, and
// ErrNotFound that there is no such project.
func (rs *Roles) Create(ctx context.Context, r Role) error {
	err := rs.store.createAccess(ctx, r.Project, `
		INSERT INTO roles (project, name, rules, creator, created_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (project, name) DO NOTHING`, r.Project, r.Name, r.Rules, r.Creator, stamp{r.CreatedAt})
	if err != nil {
		return failed(err, "creating role %s of project %q", r.Name, r.Project)
	}
	return nil
}

// SetRules replaces the rules of a role.
func (rs *Roles) SetRules(ctx context.Context, project, name, rules string) error {
	err := oneChanged(rs.store.changeAnnounced(ctx, ofAccess(), `
		UPDATE roles SET rules = $3 WHERE project = $1 AND name = $2`, project, name, rules))
	if err != nil {
		return failed(err, "changing role %s of project %q", name, project)
	}
	return nil
}

// All tells every role of every project, ordered by project and name.
func (rs *Roles) All(ctx context.Context) ([]Role, error) {
	all, err := list(ctx, rs.store, scanRole, "SELECT project, name, rules, creator, created_at FROM roles ORDER BY project, name")
	if err != nil {
		return nil, failed(err, "reading all roles")
	}
	return all, nil
}

// Of tells the roles of one project, ordered by name.
func (rs *Roles) Of(ctx context.Context, project string) ([]Role, error) {
	all, err := list(ctx, rs.store, scanRole, "SELECT project, name, rules, creator, created_at FROM roles WHERE project = $1 ORDER BY name", project)
	if err != nil {
		return nil, failed(err, "reading the roles of project %q", project)
	}
	return all, nil
}

// Delete removes a role. Bindings to it stay, and give nothing.
func (rs *Roles) Delete(ctx context.Context, project, name string) error {
	err := oneChanged(rs.store.changeAnnounced(ctx, ofAccess(), "DELETE FROM roles WHERE project = $1 AND name = $2", project, name))
	if err != nil {
		return failed(err, "deleting role %s of project %q", name, project)
	}
	return nil
}

func scanRole(r row) (Role, error) {
	var role Role
	err := r.Scan(&role.Project, &role.Name, &role.Rules, &role.Creator, scanStamp{&role.CreatedAt})
	return role, err
}

// createAccess inserts a role or a binding and tells other processes.
func (s *store) createAccess(ctx context.Context, project, insert string, args ...any) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if project != "" {
			if err := requireProject(ctx, tx, project); err != nil {
				return err
			}
		}
		changed, err := change(ctx, tx, insert, args...)
		if err != nil {
			return err
		}
		if changed == 0 {
			return ErrExists
		}
		return s.announce(ctx, tx, ofAccess())
	})
}

// requireProject is ErrNotFound when there is no such project.
func requireProject(ctx context.Context, tx *sql.Tx, name string) error {
	var found string
	if err := tx.QueryRowContext(ctx, "SELECT name FROM projects WHERE name = $1", name).Scan(&found); err != nil {
		return failed(err, "finding project %s", name)
	}
	return nil
}
