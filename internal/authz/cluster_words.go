package authz

import (
	"context"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// Explain tells whether id may do action to target, and why. Which binding it is that
// allows it only the cluster knows.
func (c *Cluster) Explain(ctx context.Context, id authn.Identity, action Action, target Target) (allowed bool, reason string, err error) {
	uncapped := id
	uncapped.Cap = nil
	may, err := c.Allowed(ctx, uncapped, action, target)
	if err != nil {
		return false, "", err
	}
	switch {
	case may && !withinCap(id, action, target):
		return false, "the access token that is shown is limited, and does not allow it", nil
	case slices.Contains(id.Groups, authn.GroupMasters):
		return may, fmt.Sprintf("%s is in group %s, which may everything; the cluster is not asked", id.User, authn.GroupMasters), nil
	case target.Kind == metadata.Cache && c.builtin.allows(id, action, target):
		return may, "caches are open: the cluster is not asked", nil
	}
	does, where := "does not let", "all namespaces"
	if may {
		does = "lets"
	}
	if target.Project != "" {
		where = "namespace " + target.Project
	}
	return may, fmt.Sprintf("the cluster %s %s %s on %s; its roles and bindings for %s decide, and those that are kept here have no say",
		does, id.User, action, target, where), nil
}

// GrantCommand is the line by which somebody who may gives user, on the cluster, the right
// to do action on target; "" where that would take the right to everything.
func (c *Cluster) GrantCommand(user string, action Action, target Target) string {
	role := clusterRoleFor(action, target.Project != "")
	if role == "" {
		return ""
	}
	return BindCommand(Grant{Project: target.Project, Role: role, Subjects: []Subject{User(user)}})
}

// BindCommand is the line by which somebody who may does on a cluster what is to be
// granted, in the namespace of the project or, without one, in all of them.
func BindCommand(g Grant) string {
	subjects := meant(g.Subjects)
	line := "kubectl create rolebinding "
	if g.Project == "" {
		line = "kubectl create clusterrolebinding "
	}
	line += shellWord(bindingName(g.Role, subjects))
	if g.Project != "" {
		line += " -n " + shellWord(g.Project)
	}
	flag := " --clusterrole="
	if g.Kind == KindRole {
		flag = " --role="
	}
	line += flag + shellWord(g.Role)
	for _, s := range subjects {
		line += " " + subjectFlag(s)
	}
	return line
}

func subjectFlag(s Subject) string {
	if s.Group {
		return "--group=" + shellWord(s.Name)
	}
	if project, name, ok := authn.ParseServiceAccount(s.Name); ok {
		return "--serviceaccount=" + shellWord(project+":"+name)
	}
	return "--user=" + shellWord(s.Name)
}

// clusterRoleFor is the least role of a cluster that allows an action: one of
// deploy/kubernetes/clusterroles.yaml or of Kubernetes' own, in a namespace or in all.
func clusterRoleFor(action Action, namespaced bool) string {
	switch action {
	case Push, CreateRepository, CreateProject, RequestProject:
		if !namespaced {
			return ""
		}
		// The first push to a namespace makes the project, and the first one to a
		// repository makes that.
		return RoleImageBuilder
	}
	for _, r := range BuiltinRoles() {
		if namespaced && r.Name == RoleImagePruner || r.Name == RoleClusterAdmin {
			continue
		}
		if covers(onCluster(r), action, "") {
			return r.Name
		}
	}
	return ""
}

// onCluster is what a role may on a cluster. OpenShift's roles for its registry speak of
// service accounts, secrets and bindings too: those of a cluster mean more than a
// registry's, and only the cluster's own roles give them.
func onCluster(r BuiltinRole) []rbacv1.PolicyRule {
	switch r.Name {
	case RoleView, RoleEdit, RoleAdmin:
		return r.Rules
	case RoleSelfProvisioner:
		return nil
	}
	var rules []rbacv1.PolicyRule
	for _, rule := range r.Rules {
		if slices.Contains(rule.APIGroups, groupImage) || slices.Contains(rule.APIGroups, groupProject) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// bindingName makes a name that a binding can have, as in ci-image-builder.
func bindingName(role string, subjects []Subject) string {
	name := strings.TrimPrefix(role, systemPrefix)
	if len(subjects) > 0 {
		name = strings.TrimPrefix(strings.TrimPrefix(subjects[0].Name, serviceAccountPrefix), systemPrefix) + "-" + name
	}
	name = strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' {
			return c
		}
		return '-'
	}, name)
	return strings.TrimLeft(name, "-.") // of which the first would make it a flag
}

// shellWord is text that a shell takes for one word.
func shellWord(text string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_@%+=:,./-", c)
	}
	if text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !plain(c) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
