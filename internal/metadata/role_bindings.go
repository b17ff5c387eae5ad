package metadata

import (
	"context"
	"time"
)

// RoleBinding gives a role to subjects.
type RoleBinding struct {
	Project   string // "" for a binding that holds in every project
	Name      string
	RoleKind  string // Role or ClusterRole
	RoleName  string
	Subjects  string // JSON, in the words of package authz
	Creator   string
	CreatedAt time.Time
}

// RoleBindings keeps who has which role.
type RoleBindings struct{ store *store }

const insertRoleBinding = `
	INSERT INTO role_bindings (project, name, role_kind, role_name, subjects, creator, created_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT (project, name) DO NOTHING`

// Create adds a binding. ErrExists says that there is one of that name in the project,
// and ErrNotFound that there is no such project. Whether there is such a role does not
// matter.
func (bs *RoleBindings) Create(ctx context.Context, b RoleBinding) error {
	err := bs.store.createAccess(ctx, b.Project, insertRoleBinding, b.values()...)
	if err != nil {
		return failed(err, "creating role binding %s of project %q", b.Name, b.Project)
	}
	return nil
}

// values are those of insertRoleBinding.
func (b RoleBinding) values() []any {
	return []any{b.Project, b.Name, b.RoleKind, b.RoleName, b.Subjects, b.Creator, stamp{b.CreatedAt}}
}

// SetSubjects replaces whom a binding gives its role to, provided that they are still
// those that were read before: ErrExists says that they are not.
func (bs *RoleBindings) SetSubjects(ctx context.Context, project, name, before, after string) error {
	changed, err := bs.store.changeAnnounced(ctx, ofAccess(), `
		UPDATE role_bindings SET subjects = $4 WHERE project = $1 AND name = $2 AND subjects = $3`, project, name, before, after)
	if err == nil && changed == 0 {
		err = ErrExists
	}
	if err != nil {
		return failed(err, "changing role binding %s of project %q", name, project)
	}
	return nil
}

// All tells every binding of every project, ordered by project and name.
func (bs *RoleBindings) All(ctx context.Context) ([]RoleBinding, error) {
	all, err := list(ctx, bs.store, scanRoleBinding, `
		SELECT project, name, role_kind, role_name, subjects, creator, created_at FROM role_bindings ORDER BY project, name`)
	if err != nil {
		return nil, failed(err, "reading all role bindings")
	}
	return all, nil
}

// Of tells the bindings of one project, ordered by name.
func (bs *RoleBindings) Of(ctx context.Context, project string) ([]RoleBinding, error) {
	all, err := list(ctx, bs.store, scanRoleBinding, `
		SELECT project, name, role_kind, role_name, subjects, creator, created_at FROM role_bindings WHERE project = $1 ORDER BY name`, project)
	if err != nil {
		return nil, failed(err, "reading the role bindings of project %q", project)
	}
	return all, nil
}

// Delete removes a binding.
func (bs *RoleBindings) Delete(ctx context.Context, project, name string) error {
	err := oneChanged(bs.store.changeAnnounced(ctx, ofAccess(), "DELETE FROM role_bindings WHERE project = $1 AND name = $2", project, name))
	if err != nil {
		return failed(err, "deleting role binding %s of project %q", name, project)
	}
	return nil
}

// DeleteUnused is Delete for a binding that gives its role to nobody: ErrNotFound says
// that it gives it to somebody.
func (bs *RoleBindings) DeleteUnused(ctx context.Context, project, name string) error {
	err := oneChanged(bs.store.changeAnnounced(ctx, ofAccess(), `
		DELETE FROM role_bindings WHERE project = $1 AND name = $2 AND subjects = '[]'`, project, name))
	if err != nil {
		return failed(err, "deleting unused role binding %s of project %q", name, project)
	}
	return nil
}

func scanRoleBinding(r row) (RoleBinding, error) {
	var b RoleBinding
	err := r.Scan(&b.Project, &b.Name, &b.RoleKind, &b.RoleName, &b.Subjects, &b.Creator, scanStamp{&b.CreatedAt})
	return b, err
}
