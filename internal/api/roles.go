package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// Role is a set of rights with a name.
type Role struct {
	Project   string    `json:"project,omitempty" doc:"Absent for a role that can be bound in every project"`
	Name      string    `json:"name"`
	Rules     []Rule    `json:"rules"`
	Builtin   bool      `json:"builtin,omitempty" doc:"Every registry has it, and nobody can change it"`
	Summary   string    `json:"summary,omitempty" doc:"What a built-in role is for"`
	Creator   string    `json:"creator,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// Rule is a PolicyRule of Kubernetes RBAC.
type Rule struct {
	Verbs         []string `json:"verbs" example:"get"`
	APIGroups     []string `json:"apiGroups,omitempty" doc:"Those of the resources when absent"`
	Resources     []string `json:"resources" example:"imagestreams/layers"`
	ResourceNames []string `json:"resourceNames,omitempty" doc:"Repositories without the project; absent for all"`
}

// RoleRequest asks for a new role.
type RoleRequest struct {
	Name  string `json:"name"`
	Rules []Rule `json:"rules"`
}

// RulesRequest asks for the rules of a role to be replaced.
type RulesRequest struct {
	Rules []Rule `json:"rules"`
}

// RoleList is one page of roles, ordered by name.
type RoleList struct {
	Items []Role `json:"items"`
	Next  string `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type roleOutput struct{ Body Role }

type listRolesOutput struct{ Body RoleList }

// roleActions are the rights for roles, or for bindings, at one place.
type roleActions struct{ list, get, create, update, delete authz.Action }

func roleRights(project string) roleActions {
	if project == "" {
		return roleActions{authz.ListClusterRoles, authz.GetClusterRole, authz.CreateClusterRole, authz.UpdateClusterRole, authz.DeleteClusterRole}
	}
	return roleActions{authz.ListRoles, authz.GetRole, authz.CreateRole, authz.UpdateRole, authz.DeleteRole}
}

// mayAt lets in who sees the project, or all when it is "", and may do action there.
func (s *service) mayAt(ctx context.Context, who caller, project string, action authz.Action) error {
	if s.Roles == nil {
		return s.keptByCluster("run the same command with kubectl or oc in place of larder")
	}
	if project == "" {
		return s.permit(ctx, who, action, authz.Target{})
	}
	return s.mayIn(ctx, who, project, action)
}

// keptByCluster refuses what is of no use where a cluster decides; nil where none does.
func (s *service) keptByCluster(instead string) error {
	if s.Roles != nil {
		return nil
	}
	return problem(http.StatusConflict, "a cluster decides here who may do what, and roles and bindings that are kept here have no say: "+instead)
}

// mayReadRoles lets everybody read the roles of all projects: one has to know them to ask
// for one.
func (s *service) mayReadRoles(ctx context.Context, who caller, project string, action authz.Action) error {
	if project == "" && s.Roles != nil {
		return nil
	}
	return s.mayAt(ctx, who, project, action)
}

func (s *service) listRoles(ctx context.Context, who caller, project string, page Page) (*listRolesOutput, error) {
	if err := s.mayReadRoles(ctx, who, project, roleRights(project).list); err != nil {
		return nil, err
	}
	all, next := pageOf(s.Roles.Roles(ctx, project), page, func(r *authz.Role) string { return r.Name })
	out := &listRolesOutput{Body: RoleList{Items: []Role{}, Next: next}}
	for _, r := range all {
		out.Body.Items = append(out.Body.Items, roleOf(r))
	}
	return out, nil
}

// pageOf is one page of a list that is held in memory, ordered by name, and where the next
// one begins.
func pageOf[T any](all []T, page Page, name func(T) string) (items []T, next string) {
	for _, one := range all {
		if name(one) <= page.After {
			continue
		}
		if len(items) == page.Limit {
			return items, name(items[len(items)-1])
		}
		items = append(items, one)
	}
	return items, ""
}

func (s *service) getRole(ctx context.Context, who caller, project, name string) (*roleOutput, error) {
	if err := s.mayReadRoles(ctx, who, project, roleRights(project).get); err != nil {
		return nil, err
	}
	r := s.Roles.Role(ctx, project, name)
	if r == nil {
		return nil, noRole(project, name)
	}
	return &roleOutput{Body: roleOf(r)}, nil
}

func noRole(project, name string) error {
	return notThere("role", name, project)
}

// notThere says that there is no such role or binding, and what lists those that there are.
func notThere(what, name, project string) error {
	nouns := "rolebindings"
	if what == "role" {
		nouns = "roles"
	}
	list := "larder get " + nouns + " -n " + project
	if project == "" {
		list = "larder get cluster" + nouns
	}
	return problem(http.StatusNotFound, fmt.Sprintf("%s %.255q does not exist in %s: %s lists those that there are", what, name, authz.Target{Project: project}, list))
}

func (s *service) createRole(ctx context.Context, who caller, project string, request RoleRequest) (*roleOutput, error) {
	if err := s.mayAt(ctx, who, project, roleRights(project).create); err != nil {
		return nil, err
	}
	err := s.Roles.CreateRole(ctx, who.Identity, authz.Role{Project: project, Name: request.Name, Rules: rbacRules(request.Rules)})
	if err != nil {
		return nil, roleProblem(err, "role", request.Name, project)
	}
	return s.getRole(ctx, who, project, request.Name)
}

func (s *service) updateRole(ctx context.Context, who caller, project, name string, rules []Rule) (*roleOutput, error) {
	if err := s.mayAt(ctx, who, project, roleRights(project).update); err != nil {
		return nil, err
	}
	err := s.Roles.UpdateRole(ctx, who.Identity, authz.Role{Project: project, Name: name, Rules: rbacRules(rules)})
	if err != nil {
		return nil, roleProblem(err, "role", name, project)
	}
	return s.getRole(ctx, who, project, name)
}

func (s *service) deleteRole(ctx context.Context, who caller, project, name string) (*struct{}, error) {
	if err := s.mayAt(ctx, who, project, roleRights(project).delete); err != nil {
		return nil, err
	}
	if err := s.Roles.DeleteRole(ctx, project, name); err != nil {
		return nil, roleProblem(err, "role", name, project)
	}
	return nil, nil
}

// roleProblem says why a role or a binding was not changed.
func roleProblem(err error, what, name, project string) error {
	where := authz.Target{Project: project}
	if invalid, ok := errors.AsType[*authz.InvalidError](err); ok {
		return problem(http.StatusBadRequest, invalid.Reason)
	}
	if escalation, ok := errors.AsType[*authz.EscalationError](err); ok {
		return problem(http.StatusForbidden, escalation.Error()+"; ask somebody who holds it")
	}
	switch {
	case errors.Is(err, authz.ErrBuiltin):
		return problem(http.StatusConflict, fmt.Sprintf("%s %s is one that every registry has: it cannot be changed", what, name))
	case errors.Is(err, authz.ErrNoRole):
		return problem(http.StatusNotFound, fmt.Sprintf("%v in %s: larder get roles and larder get clusterroles list those that there are", err, where))
	case errors.Is(err, metadata.ErrExists):
		return problem(http.StatusConflict, fmt.Sprintf("%s %s was not made: %s has one of that name", what, name, where))
	case errors.Is(err, metadata.ErrNotFound):
		return notThere(what, name, project)
	}
	return err
}

func roleOf(r *authz.Role) Role {
	out := Role{Project: r.Project, Name: r.Name, Rules: []Rule{}, Builtin: r.Builtin, Summary: r.Summary, Creator: r.Creator, CreatedAt: r.CreatedAt.UTC()}
	if r.Builtin {
		out.CreatedAt = time.Time{}
	}
	for _, rule := range r.Rules {
		out.Rules = append(out.Rules, Rule{Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames})
	}
	return out
}

// rbacRules reads rules as people write them: resources may have their group behind a dot,
// and short names.
func rbacRules(rules []Rule) []rbacv1.PolicyRule {
	all := make([]rbacv1.PolicyRule, 0, len(rules))
	for _, r := range rules {
		if len(r.APIGroups) > 0 {
			all = append(all, rbacv1.PolicyRule{Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
			continue
		}
		for _, written := range r.Resources {
			group, resource := authz.ParseResource(written)
			all = append(all, rbacv1.PolicyRule{Verbs: r.Verbs, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: r.ResourceNames})
		}
	}
	return all
}
