package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// permission is what somebody may do to one repository, in Docker Hub's words. Each is a
// role of the project that is limited to the repository, and made when it is first given.
type permission string

const (
	mayRead  permission = "read"
	mayWrite permission = "write"
	mayAdmin permission = "admin"
)

// String, Set and Type are those of a flag's value.
func (p *permission) String() string { return string(*p) }

func (*permission) Type() string { return "permission" }

func (p *permission) Set(s string) error {
	switch given := permission(s); given {
	case mayRead, mayWrite, mayAdmin:
		*p = given
		return nil
	}
	return errors.New("it is one of read, write and admin")
}

// rules are what the permission lets do. To say who else may do what is a project's
// owner's alone, and only admin deletes.
func (p permission) rules(repository string) []api.Rule {
	rule := func(resource string, verbs ...string) api.Rule {
		return api.Rule{Verbs: verbs, Resources: []string{resource}, ResourceNames: []string{repository}}
	}
	switch p {
	case mayWrite:
		return []api.Rule{rule("imagestreams", "get"), rule("imagestreams/layers", "get", "update")}
	case mayAdmin:
		return []api.Rule{
			rule("imagestreams", "get", "update", "delete"), rule("imagestreams/layers", "get", "update"),
			rule("imagestreamtags", "get", "update", "delete"),
		}
	}
	return []api.Rule{rule("imagestreams", "get"), rule("imagestreams/layers", "get")}
}

// share gives a permission for a repository to users and groups.
func share(cmd *cobra.Command, c *client, n imageName, p permission, to api.GrantRequest) error {
	to.Role, to.RoleKind = api.ShareRole(n.repository, string(p)), "Role"
	request := api.RoleRequest{Name: to.Role, Rules: p.rules(n.repository)}
	err := c.call(cmd.Context(), http.MethodPost, projectPath(n.project)+"/roles", request, nil)
	if exists, ok := errors.AsType[*answerError](err); ok && exists.status == http.StatusConflict {
		err = nil
	}
	if err != nil {
		return err
	}
	return c.call(cmd.Context(), http.MethodPost, projectPath(n.project)+"/grants", to, nil)
}

// shares are the bindings that share a repository, by what they let do.
func shares(cmd *cobra.Command, c *client, n imageName) (map[permission]api.RoleBinding, error) {
	all, err := listAll(cmd.Context(), c, projectPath(n.project)+"/rolebindings", nil,
		func(p api.RoleBindingList) ([]api.RoleBinding, string) { return p.Items, p.Next })
	if err != nil {
		return nil, err
	}
	found := map[permission]api.RoleBinding{}
	for _, b := range all {
		name, ours := strings.CutPrefix(b.Role, api.ShareRole(n.repository, ""))
		var p permission
		if !ours || b.RoleKind != "Role" || p.Set(name) != nil {
			continue
		}
		b.Users, b.Groups = append(found[p].Users, b.Users...), append(found[p].Groups, b.Groups...)
		found[p] = b
	}
	return found, nil
}

// unshare takes what was shared of a repository from users and groups, whatever it was,
// and tells whether it was anything.
func unshare(cmd *cobra.Command, c *client, n imageName, from api.GrantRequest) (bool, error) {
	all, err := shares(cmd, c, n)
	if err != nil {
		return false, err
	}
	taken := false
	for p, b := range all {
		request := api.GrantRequest{
			Role: api.ShareRole(n.repository, string(p)), RoleKind: "Role",
			Users: common(from.Users, b.Users), Groups: common(from.Groups, b.Groups),
		}
		if len(request.Users)+len(request.Groups) == 0 {
			continue
		}
		if err := c.call(cmd.Context(), http.MethodDelete, projectPath(n.project)+"/grants", request, nil); err != nil {
			return taken, err
		}
		taken = true
	}
	return taken, nil
}

// sharedRows are who has what of a repository; group says which of the two is told.
func sharedRows(all map[permission]api.RoleBinding, group bool) table {
	t := table{header: []string{cmp.Or(map[bool]string{true: "TEAM"}[group], "USER"), "PERMISSION"}}
	for _, p := range []permission{mayRead, mayWrite, mayAdmin} {
		names := all[p].Users
		if group {
			names = all[p].Groups
		}
		for _, name := range names {
			t.rows = append(t.rows, []string{name, string(p)})
		}
	}
	return t
}

func sayShared(cmd *cobra.Command, n imageName, who string, p permission) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s has %s permission on %s\n", who, p, n.full())
	return err
}
