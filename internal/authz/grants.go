package authz

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// Target is what an action is done to. Empty fields mean all: a Target without a
// Repository is the project, one without a Project the whole registry.
type Target struct {
	Project string
	// Repository is the whole name, the project included.
	Repository string
	// Name is that of something else than a repository, such as a role.
	Name string
	// Kind is the project's; empty when there is no such project.
	Kind metadata.Kind
}

// name is what the rules of roles know the target by.
func (t Target) name() string {
	if t.Repository == "" {
		return t.Name
	}
	_, rest, _ := strings.Cut(t.Repository, "/")
	return rest
}

// String says what the target is, as in `repository demo/app`.
func (t Target) String() string {
	switch {
	case t.Repository != "":
		return "repository " + t.Repository
	case t.Project != "" && t.Name != "":
		return t.Name + " in project " + t.Project
	case t.Project != "":
		return "project " + t.Project
	}
	return "all projects"
}

// grants are the bindings that give something to id at the target. What is open to
// strangers is open to those who are logged in too: they could log out and have it.
func (s *snapshot) grants(id authn.Identity, target Target) iter.Seq[*Binding] {
	return func(yield func(*Binding) bool) {
		if !s.cluster.grants(id, yield) {
			return
		}
		if target.Kind == metadata.Cache && !s.caches.grants(id, yield) {
			return
		}
		if target.Project == "" {
			return
		}
		if own := s.projects[target.Project]; own != nil && !own.grants(id, yield) {
			return
		}
		if isServiceAccountOf(id, target.Project) {
			yield(pullersOf(s.cluster, target.Project))
		}
	}
}

// allows tells whether one of them gives action on the target.
func (s *snapshot) allows(id authn.Identity, action Action, target Target) bool {
	for b := range s.grants(id, target) {
		if b.gives(action, target) {
			return true
		}
	}
	return false
}

func (s *scope) grants(id authn.Identity, yield func(*Binding) bool) bool {
	if !id.Anonymous() {
		if !each(s.users[id.User], yield) {
			return false
		}
		for _, group := range id.Groups {
			if !each(s.groups[group], yield) {
				return false
			}
		}
	}
	return each(s.users[authn.UserAnonymous], yield) && each(s.groups[authn.GroupUnauthenticated], yield)
}

func each(bindings []*Binding, yield func(*Binding) bool) bool {
	for _, b := range bindings {
		if !yield(b) {
			return false
		}
	}
	return true
}

// isServiceAccountOf tells whether id is one of the service accounts of a project. It puts
// no strings together, since it is asked for each request.
func isServiceAccountOf(id authn.Identity, project string) bool {
	return slices.ContainsFunc(id.Groups, func(group string) bool {
		rest, ok := strings.CutPrefix(group, serviceAccountGroups)
		return ok && strings.HasPrefix(rest, ":") && rest[1:] == project
	})
}

// gives tells whether a binding allows an action on a target.
func (b *Binding) gives(action Action, target Target) bool {
	return b.role != nil && b.role.matcher.reach(action).holds(target.name())
}

// names are those of the objects that a binding allows an action on, where it does not on all.
func (b *Binding) names(action Action) []string {
	if b.role == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(b.role.matcher.reach(action).names))
}
