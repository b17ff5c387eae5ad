package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// place is where a role or a binding is: in a project, or in all of them.
type place interface {
	inProject | everywhere
	where() string
	parameters() []*huma.Param
}

// inProject reads the project from the path by itself, since huma looks for parameters in
// embedded structs only.
type inProject struct{ project string }

// Resolve implements huma.Resolver.
func (p *inProject) Resolve(ctx huma.Context) []error {
	p.project = ctx.Param("project")
	return nil
}

func (p inProject) where() string { return p.project }

func (inProject) parameters() []*huma.Param {
	return []*huma.Param{{Name: "project", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}}
}

type everywhere struct{}

func (everywhere) where() string { return "" }

func (everywhere) parameters() []*huma.Param { return nil }

type listAtInput[P place] struct {
	Credentials
	Page
	At P
}

type namedAtInput[P place] struct {
	Credentials
	At   P
	Name string `path:"name"`
}

type createRoleInput[P place] struct {
	Credentials
	At   P
	Body RoleRequest
}

type updateRoleInput[P place] struct {
	Credentials
	At   P
	Name string `path:"name"`
	Body RulesRequest
}

type createRoleBindingInput[P place] struct {
	Credentials
	At   P
	Body RoleBindingRequest
}

type grantInput[P place] struct {
	Credentials
	At   P
	Body GrantRequest
}

func (s *service) registerAccess(api huma.API) {
	registerAccessAt[inProject](s, api, "/api/v1/projects/{project}/", "", "of a project")
	registerAccessAt[everywhere](s, api, "/api/v1/", "cluster", "that hold in all projects")
	s.registerReviews(api)
}

// registerAccessAt adds the operations with roles, bindings and grants at one kind of
// place. The cluster's have a prefix.
func registerAccessAt[P place](s *service, api huma.API, path, prefix, which string) {
	tags := []string{"access"}
	failures := []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict}
	operation := func(id, method, at, summary string) huma.Operation {
		status := map[string]int{http.MethodPost: http.StatusCreated, http.MethodDelete: http.StatusNoContent}[method]
		var p P
		return huma.Operation{
			OperationID: id, Method: method, Path: path + at, Tags: tags, Summary: summary + " " + which,
			DefaultStatus: status, Errors: failures, Parameters: p.parameters(),
		}
	}
	roles, bindings, grants := prefix+"roles", prefix+"rolebindings", prefix+"grants"
	register(s, api, operation("list-"+roles, http.MethodGet, roles, "List the roles"), func(ctx context.Context, who caller, in *listAtInput[P]) (*listRolesOutput, error) {
		return s.listRoles(ctx, who, in.At.where(), in.Page)
	})
	register(s, api, operation("get-"+prefix+"role", http.MethodGet, roles+"/{name}", "Read one of the roles"), func(ctx context.Context, who caller, in *namedAtInput[P]) (*roleOutput, error) {
		return s.getRole(ctx, who, in.At.where(), in.Name)
	})
	register(s, api, operation("create-"+prefix+"role", http.MethodPost, roles, "Make a role: one"), func(ctx context.Context, who caller, in *createRoleInput[P]) (*roleOutput, error) {
		return s.createRole(ctx, who, in.At.where(), in.Body)
	})
	register(s, api, operation("update-"+prefix+"role", http.MethodPut, roles+"/{name}", "Replace the rules of one of the roles"), func(ctx context.Context, who caller, in *updateRoleInput[P]) (*roleOutput, error) {
		return s.updateRole(ctx, who, in.At.where(), in.Name, in.Body.Rules)
	})
	register(s, api, operation("delete-"+prefix+"role", http.MethodDelete, roles+"/{name}", "Remove one of the roles"), func(ctx context.Context, who caller, in *namedAtInput[P]) (*struct{}, error) {
		return s.deleteRole(ctx, who, in.At.where(), in.Name)
	})
	register(s, api, operation("list-"+bindings, http.MethodGet, bindings, "List the bindings"), func(ctx context.Context, who caller, in *listAtInput[P]) (*listRoleBindingsOutput, error) {
		return s.listRoleBindings(ctx, who, in.At.where(), in.Page)
	})
	register(s, api, operation("get-"+prefix+"rolebinding", http.MethodGet, bindings+"/{name}", "Read one of the bindings"), func(ctx context.Context, who caller, in *namedAtInput[P]) (*roleBindingOutput, error) {
		return s.getRoleBinding(ctx, who, in.At.where(), in.Name)
	})
	register(s, api, operation("create-"+prefix+"rolebinding", http.MethodPost, bindings, "Bind a role: one"), func(ctx context.Context, who caller, in *createRoleBindingInput[P]) (*roleBindingOutput, error) {
		return s.createRoleBinding(ctx, who, in.At.where(), in.Body)
	})
	register(s, api, operation("delete-"+prefix+"rolebinding", http.MethodDelete, bindings+"/{name}", "Remove one of the bindings"), func(ctx context.Context, who caller, in *namedAtInput[P]) (*struct{}, error) {
		return s.deleteRoleBinding(ctx, who, in.At.where(), in.Name)
	})
	grant := operation("create-"+prefix+"grant", http.MethodPost, grants, "Give a role to users and groups by a binding: one")
	grant.DefaultStatus = http.StatusOK
	register(s, api, grant, func(ctx context.Context, who caller, in *grantInput[P]) (*grantOutput, error) {
		return s.grant(ctx, who, in.At.where(), in.Body)
	})
	revoke := operation("delete-"+prefix+"grant", http.MethodDelete, grants, "Take a role from users and groups in the bindings")
	revoke.DefaultStatus = http.StatusOK
	register(s, api, revoke, func(ctx context.Context, who caller, in *grantInput[P]) (*grantOutput, error) {
		return s.revoke(ctx, who, in.At.where(), in.Body)
	})
}
