package authz

import (
	"context"
	"fmt"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// CreateBinding makes a binding of a project, or one for all projects when b has none.
// Whether id may make bindings at all is for the caller to ask. The error is an
// *InvalidError, an *EscalationError, ErrNoRole, or wraps metadata.ErrExists, or
// metadata.ErrNotFound when there is no such project. The binding is in force when there
// is none.
func (a *Authorizer) CreateBinding(ctx context.Context, id authn.Identity, b Binding) error {
	if err := checkName(b.Name); err != nil {
		return err
	}
	b.Subjects = meant(b.Subjects)
	if err := checkSubjects(b.Subjects); err != nil {
		return err
	}
	if b.Project == "" && b.RoleKind != KindClusterRole {
		return invalid("a binding for all projects binds a role of all projects: role %s is to be one", b.RoleName)
	}
	for _, builtin := range a.Bindings(ctx, b.Project) {
		if builtin.Builtin && builtin.Name == b.Name {
			return fmt.Errorf("role binding %s: %w", b.Name, ErrBuiltin)
		}
	}
	r, err := a.bindable(ctx, id, b.Project, b.RoleKind, b.RoleName)
	if err != nil {
		return err
	}
	row, err := bindingRow(b.Project, b.Name, r, b.Subjects)
	if err != nil {
		return err
	}
	row.Creator, row.CreatedAt = id.User, a.config.Now()
	if err := a.config.RoleBindings.Create(ctx, row); err != nil {
		return err
	}
	return a.Reload(ctx, b.Project)
}

// bindable finds a role that id may give to others in a project.
func (a *Authorizer) bindable(ctx context.Context, id authn.Identity, project, kind, name string) (*Role, error) {
	r := a.current(ctx).role(project, kind, name)
	if r == nil {
		return nil, fmt.Errorf("role %.255q: %w", name, ErrNoRole)
	}
	return r, a.mayBind(ctx, id, project, r)
}

// role finds a role that can be bound in a project. Without a kind it is one of all
// projects, or else one of the project.
func (s *snapshot) role(project, kind, name string) *Role {
	if kind != KindRole {
		if r := s.cluster.roles[name]; r != nil {
			return r
		}
	}
	if kind == KindClusterRole || project == "" {
		return nil
	}
	return s.of(project).roles[name]
}

func bindingRow(project, name string, r *Role, subjects []Subject) (metadata.RoleBinding, error) {
	text, err := formatSubjects(subjects)
	if err != nil {
		return metadata.RoleBinding{}, err
	}
	return metadata.RoleBinding{Project: project, Name: name, RoleKind: r.kind(), RoleName: r.Name, Subjects: text}, nil
}

func (r *Role) kind() string {
	if r.Project == "" {
		return KindClusterRole
	}
	return KindRole
}

// DeleteBinding removes a binding. The error wraps ErrBuiltin or metadata.ErrNotFound.
func (a *Authorizer) DeleteBinding(ctx context.Context, project, name string) error {
	if b := a.Binding(ctx, project, name); b != nil && b.Builtin {
		return fmt.Errorf("role binding %s: %w", name, ErrBuiltin)
	}
	if err := a.config.RoleBindings.Delete(ctx, project, name); err != nil {
		return err
	}
	return a.Reload(ctx, project)
}

// MakeProject makes a project that is owned by id: nobody is there before its owner. The
// error wraps metadata.ErrExists when there is one of that name.
func (a *Authorizer) MakeProject(ctx context.Context, id authn.Identity, p metadata.Project) error {
	owner, err := bindingRow(p.Name, RoleAdmin, &Role{Name: RoleAdmin}, []Subject{User(id.User)})
	if err != nil {
		return err
	}
	owner.Creator, owner.CreatedAt = id.User, a.config.Now()
	if err := a.config.Projects.CreateOwned(ctx, p, owner); err != nil {
		return err
	}
	return a.Reload(ctx, p.Name)
}
