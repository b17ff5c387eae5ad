package authz

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/authn"
)

// Explanation is why somebody may do something, or may not.
type Explanation struct {
	Allowed bool
	// By are the bindings that allow it.
	By []*Binding
	// Capped says that they would allow it, and that the access token shown does not.
	Capped bool
	// Others are bindings that give something else to the same subject at the same place.
	Others []*Binding
	// Suggested is the least of the built-in roles that would allow it.
	Suggested string
}

// Explain tells which bindings allow an action, or that none does and what would.
func (a *Authorizer) Explain(ctx context.Context, id authn.Identity, action Action, target Target) Explanation {
	var e Explanation
	for b := range a.current(ctx).grants(id, target) {
		switch {
		case slices.Contains(e.By, b), slices.Contains(e.Others, b):
		case b.gives(action, target):
			e.By = append(e.By, b)
		default:
			e.Others = append(e.Others, b)
		}
	}
	e.Capped = !withinCap(id, action, target)
	e.Allowed = len(e.By) > 0 && !e.Capped
	if len(e.By) == 0 {
		e.Suggested = RoleFor(action, target.Project != "")
	}
	return e
}

// RoleFor is the least of the built-in roles that allow an action: in a project, or in all
// of them. Where no smaller one does it is cluster-admin.
func RoleFor(action Action, project bool) string {
	for _, r := range BuiltinRoles() {
		if project && r.Name == RoleImagePruner {
			continue // its rights count in all projects only
		}
		if covers(r.Rules, action, "") {
			return r.Name
		}
	}
	return RoleClusterAdmin
}

// GrantCommand is the line by which somebody who may gives the right to do action on
// target to user. Where that is to make a project, it is one to make projects.
func (*Authorizer) GrantCommand(user string, action Action, target Target) string {
	if action == CreateProject || action == RequestProject {
		target = Target{}
	}
	role := RoleFor(action, target.Project != "")
	if target.Project == "" || role == RoleClusterAdmin {
		return fmt.Sprintf("larder adm policy add-cluster-role-to-user %s %s", role, user)
	}
	return fmt.Sprintf("larder policy add-role-to-user %s %s -n %s", role, user, target.Project)
}

// Reason is the binding and its role in words, as in `role binding pullers of project demo
// gives role system:image-puller to group devs`.
func (b *Binding) Reason() string {
	where := ""
	if b.Project != "" {
		where = " of project " + b.Project
	}
	kind := "role binding "
	if b.Builtin {
		kind = "built-in role binding "
	}
	subjects := make([]string, 0, len(b.Subjects))
	const most = 5
	for _, s := range b.Subjects[:min(len(b.Subjects), most)] {
		subjects = append(subjects, s.String())
	}
	if more := len(b.Subjects) - most; more > 0 {
		subjects = append(subjects, fmt.Sprintf("%d more", more))
	}
	return kind + b.Name + where + " gives role " + b.RoleName + " to " + strings.Join(subjects, ", ")
}
