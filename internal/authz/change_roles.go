package authz

import (
	"context"
	"encoding/json"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// CreateRole makes a role of a project, or one for all projects when r has none. Whether
// id may make roles at all is for the caller to ask. The error is an *InvalidError, an
// *EscalationError, ErrBuiltin, or wraps metadata.ErrExists, or metadata.ErrNotFound when
// there is no such project. The role is in force when there is none.
func (a *Authorizer) CreateRole(ctx context.Context, id authn.Identity, r Role) error {
	if err := checkName(r.Name); err != nil {
		return err
	}
	rules, err := a.writableRules(ctx, id, r.Project, r.Name, r.Rules)
	if err != nil {
		return err
	}
	err = a.config.Roles.Create(ctx, metadata.Role{
		Project: r.Project, Name: r.Name, Rules: rules, Creator: id.User, CreatedAt: a.config.Now(),
	})
	if err != nil {
		return err
	}
	return a.Reload(ctx, r.Project)
}

// UpdateRole replaces the rules of a role; see CreateRole for the errors.
func (a *Authorizer) UpdateRole(ctx context.Context, id authn.Identity, r Role) error {
	rules, err := a.writableRules(ctx, id, r.Project, r.Name, r.Rules)
	if err != nil {
		return err
	}
	if err := a.config.Roles.SetRules(ctx, r.Project, r.Name, rules); err != nil {
		return err
	}
	return a.Reload(ctx, r.Project)
}

// writableRules checks rules that id wants to put into a role, and returns them as they
// are kept.
func (a *Authorizer) writableRules(ctx context.Context, id authn.Identity, project, name string, rules []rbacv1.PolicyRule) (string, error) {
	if builtin(project, name) {
		return "", fmt.Errorf("role %s: %w", name, ErrBuiltin)
	}
	if err := checkRules(rules); err != nil {
		return "", err
	}
	if err := a.mayWrite(ctx, id, project, name, rules); err != nil {
		return "", err
	}
	text, err := json.Marshal(rules)
	if err != nil {
		return "", fmt.Errorf("writing rules: %w", err)
	}
	return string(text), nil
}

// DeleteRole removes a role. Bindings to it stay, and give nothing. The error wraps
// ErrBuiltin or metadata.ErrNotFound.
func (a *Authorizer) DeleteRole(ctx context.Context, project, name string) error {
	if builtin(project, name) {
		return fmt.Errorf("role %s: %w", name, ErrBuiltin)
	}
	if err := a.config.Roles.Delete(ctx, project, name); err != nil {
		return err
	}
	return a.Reload(ctx, project)
}

func builtin(project, name string) bool {
	if project != "" {
		return false
	}
	for _, r := range BuiltinRoles() {
		if r.Name == name {
			return true
		}
	}
	return false
}
