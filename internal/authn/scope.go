package authn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/oci"
)

// Resource types and actions of Docker's token scopes.
const (
	TypeRepository = "repository"
	TypeRegistry   = "registry"

	ActionPull   = "pull"
	ActionPush   = "push"
	ActionDelete = "delete"
	// ActionAll stands for every action.
	ActionAll = "*"
)

// maxScopes bounds how many scopes one token is asked for.
const maxScopes = 64

// catalog is the only name of TypeRegistry.
const catalog = "catalog"

// Access is one entry of a registry token's access claim (Docker's token
// specification, §Requesting a token): Actions on the resource Name of Type.
type Access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// String renders the access as a scope, as in `repository:demo/app:pull,push`.
func (a Access) String() string {
	return a.Type + ":" + a.Name + ":" + strings.Join(a.Actions, ",")
}

// Everything is the cap that caps nothing.
func Everything() []Access {
	return []Access{{Type: ActionAll, Name: ActionAll, Actions: []string{ActionAll}}}
}

// Covers tells whether a token capped at access lets its bearer ask for action on
// the resource; whether the bearer may do it is another question.
func Covers(access []Access, resourceType, name, action string) bool {
	return slices.ContainsFunc(access, func(a Access) bool {
		return (a.Type == resourceType || a.Type == ActionAll) &&
			(a.Name == name || a.Name == ActionAll) &&
			(slices.Contains(a.Actions, action) || slices.Contains(a.Actions, ActionAll))
	})
}

// ParseScopes reads the scope parameters of a token request; each may hold several
// scopes parted by spaces. Scopes, types and actions that Larder does not know are
// left out, as those are that it does not grant. Scopes for one resource become
// one. The error says that there are more than 64.
func ParseScopes(values []string) ([]Access, error) {
	var all []Access
	count := 0
	for _, v := range values {
		for s := range strings.FieldsSeq(v) {
			if count++; count > maxScopes {
				return nil, fmt.Errorf("the token is asked for more than %d scopes: ask for fewer at once", maxScopes)
			}
			if a, ok := parseScope(s); ok {
				all = merge(all, a)
			}
		}
	}
	return all, nil
}

// parseScope takes the first and the last colon as separators, since a name may
// hold one (the port of a host).
func parseScope(s string) (Access, bool) {
	resourceType, rest, _ := strings.Cut(s, ":")
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return Access{}, false
	}
	// A class, as in repository(plugin), says how the resource is used.
	if bare, class, ok := strings.Cut(resourceType, "("); ok && strings.HasSuffix(class, ")") {
		resourceType = bare
	}
	a := Access{Type: resourceType, Name: rest[:i]}
	switch {
	case a.Type == TypeRepository && oci.CheckName(a.Name) == nil:
	case a.Type == TypeRegistry && a.Name == catalog:
	default:
		return Access{}, false
	}
	for action := range strings.SplitSeq(rest[i+1:], ",") {
		if known(action) && !slices.Contains(a.Actions, action) {
			a.Actions = append(a.Actions, action)
		}
	}
	return a, len(a.Actions) > 0
}

func known(action string) bool {
	switch action {
	case ActionPull, ActionPush, ActionDelete, ActionAll:
		return true
	}
	return false
}

func merge(all []Access, a Access) []Access {
	for i := range all {
		if all[i].Type != a.Type || all[i].Name != a.Name {
			continue
		}
		for _, action := range a.Actions {
			if !slices.Contains(all[i].Actions, action) {
				all[i].Actions = append(all[i].Actions, action)
			}
		}
		return all
	}
	return append(all, a)
}
