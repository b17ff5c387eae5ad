package authz

import (
	"context"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/larder-registry/larder/internal/authn"
)

// Verbs by which somebody may give what they do not hold, as in Kubernetes.
const (
	verbEscalate = "escalate"
	verbBind     = "bind"
)

// mayWrite tells whether id may make or change a role so that it has rules: who holds all
// of them may, and who may escalate. The error is an *EscalationError.
func (a *Authorizer) mayWrite(ctx context.Context, id authn.Identity, project, name string, rules []rbacv1.PolicyRule) error {
	resource := "roles"
	if project == "" {
		resource = "clusterroles"
	}
	return a.mayGive(ctx, id, Action(verbEscalate+" "+resource), Target{Project: project, Name: name}, rules)
}

// mayBind tells whether id may give a role to others in a project: who holds all that the
// role allows may, and who may bind it. The error is an *EscalationError.
func (a *Authorizer) mayBind(ctx context.Context, id authn.Identity, project string, r *Role) error {
	resource := "roles"
	if r.Project == "" {
		resource = "clusterroles"
	}
	return a.mayGive(ctx, id, Action(verbBind+" "+resource), Target{Project: project, Name: r.Name}, r.Rules)
}

func (a *Authorizer) mayGive(ctx context.Context, id authn.Identity, anyway Action, target Target, rules []rbacv1.PolicyRule) error {
	allowed, err := a.Allowed(ctx, id, anyway, target)
	if err != nil || allowed {
		return err
	}
	var held []rbacv1.PolicyRule
	for b := range a.current(ctx).grants(id, Target{Project: target.Project}) {
		held = append(held, b.role.Rules...)
	}
	if missing := missing(held, rules); len(missing) > 0 {
		return &EscalationError{User: id.User, Project: target.Project, Missing: missing}
	}
	return nil
}

// missing are the rights in wanted that held does not have, one by one. A right that is
// held for one of a resource's groups is held for the others too.
func missing(held, wanted []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	_, missing := validation.Covers(held, wanted)
	return slices.DeleteFunc(missing, func(r rbacv1.PolicyRule) bool {
		if len(r.Resources) != 1 || !slices.Contains(groupsOf(r.Resources[0]), r.APIGroups[0]) {
			return false
		}
		name := ""
		if len(r.ResourceNames) > 0 {
			name = r.ResourceNames[0]
		}
		return covers(held, Action(r.Verbs[0]+" "+r.Resources[0]), name)
	})
}
