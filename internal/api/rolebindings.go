package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/authz"
)

// RoleBinding gives a role to users and groups.
type RoleBinding struct {
	Project   string    `json:"project,omitempty" doc:"Absent for a binding that holds in every project"`
	Name      string    `json:"name"`
	RoleKind  string    `json:"roleKind" enum:"Role,ClusterRole"`
	Role      string    `json:"role"`
	Users     []string  `json:"users,omitempty" doc:"Service accounts are called system:serviceaccount:PROJECT:NAME"`
	Groups    []string  `json:"groups,omitempty"`
	Builtin   bool      `json:"builtin,omitempty" doc:"Every registry has it, and nobody can remove it"`
	Creator   string    `json:"creator,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// RoleBindingRequest asks for a new binding.
type RoleBindingRequest struct {
	Name     string   `json:"name"`
	RoleKind string   `json:"roleKind,omitempty" enum:"Role,ClusterRole" default:"ClusterRole"`
	Role     string   `json:"role"`
	Users    []string `json:"users,omitempty"`
	Groups   []string `json:"groups,omitempty"`
}

// RoleBindingList is one page of bindings, ordered by name.
type RoleBindingList struct {
	Items []RoleBinding `json:"items"`
	Next  string        `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

// GrantRequest names a role, and to whom it is given or from whom it is taken.
type GrantRequest struct {
	Role     string   `json:"role"`
	RoleKind string   `json:"roleKind,omitempty" enum:"Role,ClusterRole" doc:"Absent: a role of all projects of that name, or else one of the project"`
	Users    []string `json:"users,omitempty"`
	Groups   []string `json:"groups,omitempty"`
}

// GrantAnswer says what was done.
type GrantAnswer struct {
	Bindings []string `json:"bindings" doc:"Bindings that were made, changed or removed"`
	Done     []string `json:"done" doc:"What was done, in words: a line for each user and group"`
}

type roleBindingOutput struct{ Body RoleBinding }

type listRoleBindingsOutput struct{ Body RoleBindingList }

type grantOutput struct{ Body GrantAnswer }

func bindingRights(project string) roleActions {
	if project == "" {
		return roleActions{
			authz.ListClusterRoleBindings, authz.GetClusterRoleBinding, authz.CreateClusterRoleBinding,
			authz.UpdateClusterRoleBinding, authz.DeleteClusterRoleBinding,
		}
	}
	return roleActions{authz.ListRoleBindings, authz.GetRoleBinding, authz.CreateRoleBinding, authz.UpdateRoleBinding, authz.DeleteRoleBinding}
}

func (s *service) listRoleBindings(ctx context.Context, who caller, project string, page Page) (*listRoleBindingsOutput, error) {
	if err := s.mayAt(ctx, who, project, bindingRights(project).list); err != nil {
		return nil, err
	}
	all, next := pageOf(s.Roles.Bindings(ctx, project), page, func(b *authz.Binding) string { return b.Name })
	out := &listRoleBindingsOutput{Body: RoleBindingList{Items: []RoleBinding{}, Next: next}}
	for _, b := range all {
		out.Body.Items = append(out.Body.Items, roleBindingOf(b))
	}
	return out, nil
}

func (s *service) getRoleBinding(ctx context.Context, who caller, project, name string) (*roleBindingOutput, error) {
	if err := s.mayAt(ctx, who, project, bindingRights(project).get); err != nil {
		return nil, err
	}
	b := s.Roles.Binding(ctx, project, name)
	if b == nil {
		return nil, notThere("role binding", name, project)
	}
	return &roleBindingOutput{Body: roleBindingOf(b)}, nil
}

func (s *service) createRoleBinding(ctx context.Context, who caller, project string, request RoleBindingRequest) (*roleBindingOutput, error) {
	if err := s.mayAt(ctx, who, project, bindingRights(project).create); err != nil {
		return nil, err
	}
	binding := authz.Binding{
		Project: project, Name: request.Name, RoleKind: request.RoleKind, RoleName: request.Role, Subjects: subjects(request.Users, request.Groups),
	}
	if err := s.Roles.CreateBinding(ctx, who.Identity, binding); err != nil {
		return nil, roleProblem(err, "role binding", request.Name, project)
	}
	return s.getRoleBinding(ctx, who, project, request.Name)
}

func (s *service) deleteRoleBinding(ctx context.Context, who caller, project, name string) (*struct{}, error) {
	if err := s.mayAt(ctx, who, project, bindingRights(project).delete); err != nil {
		return nil, err
	}
	if err := s.Roles.DeleteBinding(ctx, project, name); err != nil {
		return nil, roleProblem(err, "role binding", name, project)
	}
	return nil, nil
}

// grant takes the rights both to make and to change bindings: which of them it does
// depends on those that there are.
func (s *service) grant(ctx context.Context, who caller, project string, request GrantRequest) (*grantOutput, error) {
	asked := subjects(request.Users, request.Groups)
	wanted := authz.Grant{Project: project, Kind: request.RoleKind, Role: request.Role, Subjects: asked}
	if err := s.keptByCluster("run " + authz.BindCommand(wanted)); err != nil {
		return nil, err
	}
	rights := bindingRights(project)
	for _, action := range []authz.Action{rights.create, rights.update} {
		if err := s.mayAt(ctx, who, project, action); err != nil {
			return nil, err
		}
	}
	done, err := s.Roles.Grant(ctx, who.Identity, wanted)
	if err != nil {
		return nil, roleProblem(err, "a binding of role", request.Role, project)
	}
	return grantAnswer(done, asked, request.Role, project, "was given to", "has been given already to"), nil
}

func (s *service) revoke(ctx context.Context, who caller, project string, request GrantRequest) (*grantOutput, error) {
	if err := s.keptByCluster("run kubectl delete on the binding; " + whereBindingsAre(project)); err != nil {
		return nil, err
	}
	rights := bindingRights(project)
	for _, action := range []authz.Action{rights.update, rights.delete} {
		if err := s.mayAt(ctx, who, project, action); err != nil {
			return nil, err
		}
	}
	asked := subjects(request.Users, request.Groups)
	done, err := s.Roles.Revoke(ctx, authz.Grant{Project: project, Kind: request.RoleKind, Role: request.Role, Subjects: asked})
	if errors.Is(err, authz.ErrNotBound) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("no binding in %s gives role %s to %s: larder get rolebindings lists those that there are",
			authz.Target{Project: project}, request.Role, words(done.Subjects)))
	}
	if err != nil {
		return nil, roleProblem(err, "a binding of role", request.Role, project)
	}
	return grantAnswer(done, asked, request.Role, project, "was taken from", "has not been given to"), nil
}

// whereBindingsAre tells how one finds out, on a cluster, who has which role.
func whereBindingsAre(project string) string {
	command := "kubectl get clusterrolebindings -o wide"
	if project != "" {
		command = "kubectl get rolebindings -o wide -n " + project
	}
	return command + " lists who has which role"
}

// grantAnswer says what was done, and what was meant where a group was called a user.
func grantAnswer(done authz.Granted, asked []authz.Subject, role, project, changed, unchanged string) *grantOutput {
	out := &grantOutput{Body: GrantAnswer{Bindings: []string{}, Done: []string{}}}
	out.Body.Bindings = append(out.Body.Bindings, done.Bindings...)
	for i, s := range done.Subjects {
		verb := unchanged
		if done.Changed[i] {
			verb = changed
		}
		line := fmt.Sprintf("role %s %s %s in %s", role, verb, s, authz.Target{Project: project})
		for _, a := range asked {
			if a.Name == s.Name && a.Group != s.Group {
				kind := "user"
				if s.Group {
					kind = "group"
				}
				line += fmt.Sprintf("; %s is a %s, and was taken for one", s.Name, kind)
			}
		}
		out.Body.Done = append(out.Body.Done, line)
	}
	return out
}

func subjects(users, groups []string) []authz.Subject {
	all := make([]authz.Subject, 0, len(users)+len(groups))
	for _, name := range users {
		all = append(all, authz.User(name))
	}
	for _, name := range groups {
		all = append(all, authz.Group(name))
	}
	return all
}

func words(subjects []authz.Subject) string {
	all := make([]string, 0, len(subjects))
	for _, s := range subjects {
		all = append(all, s.String())
	}
	return strings.Join(all, " or ")
}

func roleBindingOf(b *authz.Binding) RoleBinding {
	out := RoleBinding{Project: b.Project, Name: b.Name, RoleKind: b.RoleKind, Role: b.RoleName, Builtin: b.Builtin, Creator: b.Creator}
	if !b.Builtin {
		out.CreatedAt = b.CreatedAt.UTC()
	}
	for _, s := range b.Subjects {
		if s.Group {
			out.Groups = append(out.Groups, s.Name)
		} else {
			out.Users = append(out.Users, s.Name)
		}
	}
	return out
}
