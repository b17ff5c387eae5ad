package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// attempts is how often a binding is read again that somebody else has changed meanwhile.
const attempts = 5

// Grant is a role that is given to subjects, or taken from them, in a project or, without
// one, in all projects. Kind may be empty: then it is a role of all projects, or else one
// of the project.
type Grant struct {
	Project  string
	Kind     string
	Role     string
	Subjects []Subject
}

// Granted is what became of a grant.
type Granted struct {
	Role *Role
	// Bindings were changed, made or removed.
	Bindings []string
	// Subjects are those that were meant, where a group was given as a user, say.
	Subjects []Subject
	// Changed tells of each of them whether it is different now.
	Changed []bool
}

// Grant gives a role to subjects, by the binding of that role which there is, or by a new
// one. The errors are those of CreateBinding.
func (a *Authorizer) Grant(ctx context.Context, id authn.Identity, g Grant) (Granted, error) {
	subjects := meant(g.Subjects)
	if err := checkSubjects(subjects); err != nil {
		return Granted{}, err
	}
	r, err := a.bindable(ctx, id, g.Project, g.Kind, g.Role)
	if err != nil {
		return Granted{}, err
	}
	for range attempts {
		granted, err := a.tryGrant(ctx, id, g.Project, r, subjects)
		if !errors.Is(err, metadata.ErrExists) {
			return granted, err
		}
		if err := a.Reload(ctx, g.Project); err != nil {
			return Granted{}, err
		}
	}
	return Granted{}, fmt.Errorf("giving role %s in %s: others change its bindings all the time", g.Role, Target{Project: g.Project})
}

func meant(subjects []Subject) []Subject {
	all := make([]Subject, 0, len(subjects))
	for _, s := range subjects {
		if s = s.Meant(); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// tryGrant is ErrExists when the bindings are not what was read of them.
func (a *Authorizer) tryGrant(ctx context.Context, id authn.Identity, project string, r *Role, subjects []Subject) (Granted, error) {
	done := Granted{Role: r, Subjects: subjects, Changed: make([]bool, len(subjects))}
	var to *Binding
	has := map[Subject]bool{}
	taken := map[string]bool{}
	for _, b := range a.Bindings(ctx, project) {
		taken[b.Name] = true
		if b.role != r {
			continue
		}
		for _, s := range b.Subjects {
			has[s] = true
		}
		if to == nil && !b.Builtin {
			to = b
		}
	}
	var add []Subject
	for i, s := range subjects {
		if !has[s] {
			add, done.Changed[i] = append(add, s), true
		}
	}
	if len(add) == 0 {
		return done, nil
	}
	if to != nil {
		done.Bindings = []string{to.Name}
		return done, a.setSubjects(ctx, to, slices.Concat(to.Subjects, add))
	}
	row, err := bindingRow(project, freeName(r.Name, taken), r, add)
	if err != nil {
		return Granted{}, err
	}
	row.Creator, row.CreatedAt = id.User, a.config.Now()
	done.Bindings = []string{row.Name}
	if err := a.config.RoleBindings.Create(ctx, row); err != nil {
		return Granted{}, err
	}
	return done, a.Reload(ctx, project)
}

// freeName is the role's, or the role's with a number as oc adds one.
func freeName(role string, taken map[string]bool) string {
	name := role
	for i := 0; taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", role, i)
	}
	return name
}

// setSubjects is ErrExists when somebody else has changed the binding meanwhile.
func (a *Authorizer) setSubjects(ctx context.Context, b *Binding, subjects []Subject) error {
	if len(subjects) > maxSubjects {
		return invalid("binding %s would have %d users and groups: %d is the most; put them into a group", b.Name, len(subjects), maxSubjects)
	}
	text, err := formatSubjects(subjects)
	if err != nil {
		return err
	}
	if err := a.config.RoleBindings.SetSubjects(ctx, b.Project, b.Name, b.stored, text); err != nil {
		return err
	}
	if len(subjects) == 0 {
		// Unless it has got a subject meanwhile.
		if err := a.config.RoleBindings.DeleteUnused(ctx, b.Project, b.Name); err != nil && !errors.Is(err, metadata.ErrNotFound) {
			return err
		}
	}
	return a.Reload(ctx, b.Project)
}

// Revoke takes a role from subjects, in all bindings of that role; a binding that has no
// subjects left is removed. The error wraps ErrNotBound when none of them had it, and
// ErrBuiltin when they have it by a binding that cannot be changed.
func (a *Authorizer) Revoke(ctx context.Context, g Grant) (Granted, error) {
	done := Granted{Subjects: meant(g.Subjects)}
	done.Changed = make([]bool, len(done.Subjects))
	done.Role = a.current(ctx).role(g.Project, g.Kind, g.Role)
	for range attempts {
		err := a.tryRevoke(ctx, g, &done)
		if errors.Is(err, metadata.ErrExists) {
			err = a.Reload(ctx, g.Project)
			if err == nil {
				continue
			}
		}
		if err != nil || slices.Contains(done.Changed, true) {
			return done, err
		}
		return done, a.notBound(ctx, g, done.Subjects)
	}
	return done, fmt.Errorf("taking role %s in %s: others change its bindings all the time", g.Role, Target{Project: g.Project})
}

// tryRevoke is ErrExists when a binding is not what was read of it.
func (a *Authorizer) tryRevoke(ctx context.Context, g Grant, done *Granted) error {
	for _, b := range a.Bindings(ctx, g.Project) {
		if b.Builtin || b.RoleName != g.Role || g.Kind != "" && b.RoleKind != g.Kind {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(b.Subjects), func(s Subject) bool { return slices.Contains(done.Subjects, s) })
		if len(left) == len(b.Subjects) {
			continue
		}
		if err := a.setSubjects(ctx, b, left); err != nil {
			return err
		}
		done.Bindings = append(done.Bindings, b.Name)
		for i, s := range done.Subjects {
			done.Changed[i] = done.Changed[i] || slices.Contains(b.Subjects, s)
		}
	}
	return nil
}

func (a *Authorizer) notBound(ctx context.Context, g Grant, subjects []Subject) error {
	for _, b := range a.Bindings(ctx, g.Project) {
		if b.Builtin && b.RoleName == g.Role && slices.ContainsFunc(b.Subjects, func(s Subject) bool { return slices.Contains(subjects, s) }) {
			return fmt.Errorf("role binding %s: %w", b.Name, ErrBuiltin)
		}
	}
	return fmt.Errorf("role %s in %s: %w", g.Role, Target{Project: g.Project}, ErrNotBound)
}
