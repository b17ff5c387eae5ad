package authz

import (
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
)

// role is what one role allows. The actions that requests are decided by are looked up in
// a table, which is made when the role is first asked; others are matched each time.
type role struct {
	rules []rbacv1.PolicyRule
	table func() map[Action]reach
}

// reach is where a role allows an action: on everything, or on what has one of the names.
type reach struct {
	all   bool
	names map[string]bool
}

func newRole(rules []rbacv1.PolicyRule) *role {
	return &role{rules: rules, table: sync.OnceValue(func() map[Action]reach { return tabulate(rules) })}
}

func tabulate(rules []rbacv1.PolicyRule) map[Action]reach {
	table := map[Action]reach{}
	for _, action := range decided() {
		table[action] = reachOf(rules, action)
	}
	return table
}

func reachOf(rules []rbacv1.PolicyRule, action Action) reach {
	r := reach{all: covers(rules, action, "")}
	if r.all {
		return r
	}
	for _, rule := range rules {
		for _, name := range rule.ResourceNames {
			if covers(rules, action, name) {
				if r.names == nil {
					r.names = map[string]bool{}
				}
				r.names[name] = true
			}
		}
	}
	return r
}

// reach tells where the role allows an action.
func (r *role) reach(action Action) reach {
	if found, ok := r.table()[action]; ok {
		return found
	}
	return reachOf(r.rules, action)
}

// holds tells whether an action on the resource called name, or on all of them when that
// is empty, is within reach.
func (r reach) holds(name string) bool { return r.all || name != "" && r.names[name] }
