package authz

import (
	"context"
	"maps"
	"slices"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// Exposed is something that strangers, or all who are logged in, can reach.
type Exposed struct {
	Project string
	// Repositories are those that are open, without the project; none means all.
	Repositories []string
	// Anonymous says that no login is needed; otherwise any will do.
	Anonymous bool
	Actions   []Action
	By        *Binding
}

// exposing are the actions that are told of.
func exposing() []Action {
	return []Action{Pull, List, Describe, Push, CreateRepository, Tag, DeleteTag, Delete, Import, GetProject, UpdateProject, DeleteProject, CreateRoleBinding}
}

// Exposure tells what of a project strangers and all who are logged in can reach, and by
// which bindings. Of a cache project it tells what the registry allows; what an upstream
// shows to those with a login only, the cache keeps from strangers.
func (a *Authorizer) Exposure(ctx context.Context, project string, kind metadata.Kind) []Exposed {
	s := a.current(ctx)
	scopes := []*scope{s.cluster}
	if kind == metadata.Cache {
		scopes = append(scopes, s.caches)
	}
	scopes = append(scopes, s.of(project))
	var all []Exposed
	for _, sc := range scopes {
		strangers := slices.Concat(sc.users[authn.UserAnonymous], sc.groups[authn.GroupUnauthenticated])
		for _, b := range unique(strangers) {
			all = append(all, exposedBy(b, project, true)...)
		}
		for _, b := range unique(sc.groups[authn.GroupAuthenticated]) {
			if !slices.Contains(strangers, b) {
				all = append(all, exposedBy(b, project, false)...)
			}
		}
	}
	return all
}

func unique(bindings []*Binding) []*Binding {
	var all []*Binding
	for _, b := range bindings {
		if !slices.Contains(all, b) {
			all = append(all, b)
		}
	}
	return all
}

// exposedBy tells what a binding opens: all repositories, or some by their names.
func exposedBy(b *Binding, project string, anonymous bool) []Exposed {
	whole := Exposed{Project: project, Anonymous: anonymous, By: b}
	single := whole
	names := map[string]bool{}
	for _, action := range exposing() {
		reach := b.role.matcher.reach(action)
		switch {
		case reach.all:
			whole.Actions = append(whole.Actions, action)
		case len(reach.names) > 0:
			single.Actions = append(single.Actions, action)
			maps.Copy(names, reach.names)
		}
	}
	var all []Exposed
	if len(whole.Actions) > 0 {
		all = append(all, whole)
	}
	if len(single.Actions) > 0 {
		single.Repositories = slices.Sorted(maps.Keys(names))
		all = append(all, single)
	}
	return all
}
