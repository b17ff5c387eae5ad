package authz

import (
	"context"
	"slices"
	"strings"
)

// Roles are the roles of a project or, without one, those that can be bound in all of
// them, ordered by name.
func (a *Authorizer) Roles(ctx context.Context, project string) []*Role {
	from := a.current(ctx).of(project)
	all := make([]*Role, 0, len(from.roles))
	for _, r := range from.roles {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Role) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Role finds a role of a project or, without one, of all; nil when there is none.
func (a *Authorizer) Role(ctx context.Context, project, name string) *Role {
	return a.current(ctx).of(project).roles[name]
}

// Bindings are those of a project or, without one, those that hold in all of them, ordered
// by name, the built-in ones included.
func (a *Authorizer) Bindings(ctx context.Context, project string) []*Binding {
	return a.current(ctx).bindings(project)
}

func (s *snapshot) bindings(project string) []*Binding {
	if project == "" {
		return s.cluster.bindings
	}
	all := append(slices.Clone(s.of(project).bindings), pullersOf(s.cluster, project))
	slices.SortFunc(all, func(a, b *Binding) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Binding finds a binding by its name; nil when there is none.
func (a *Authorizer) Binding(ctx context.Context, project, name string) *Binding {
	for _, b := range a.Bindings(ctx, project) {
		if b.Name == name {
			return b
		}
	}
	return nil
}
