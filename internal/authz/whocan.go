package authz

import (
	"context"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/metadata"
)

// Holder is somebody who may do something, and by what.
type Holder struct {
	Subject Subject
	By      *Binding
	// Names are those of the only images, or other objects, that it is for; none means all.
	Names []string
}

// WhoCan tells all subjects to whom a binding gives the right to an action, each with the
// first binding that does; users first, ordered by name. Of a whole project it also tells who
// has the right to single images of it, by each binding that gives it.
func (a *Authorizer) WhoCan(ctx context.Context, action Action, target Target) []Holder {
	s := a.current(ctx)
	bindings := slices.Clone(s.cluster.bindings)
	if target.Kind == metadata.Cache {
		bindings = append(bindings, s.caches.bindings...)
	}
	if target.Project != "" {
		bindings = append(bindings, s.bindings(target.Project)...)
	}
	var all []Holder
	seen := map[Subject]bool{}
	for _, b := range bindings {
		if !b.gives(action, target) {
			continue
		}
		for _, subject := range b.Subjects {
			if !seen[subject] {
				seen[subject] = true
				all = append(all, Holder{Subject: subject, By: b})
			}
		}
	}
	if target.name() == "" {
		all = append(all, ofSome(bindings, action, seen)...)
	}
	slices.SortStableFunc(all, func(a, b Holder) int {
		if a.Subject.Group != b.Subject.Group {
			if b.Subject.Group {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Subject.Name, b.Subject.Name)
	})
	return all
}

// ofSome tells who has a right to some objects by their names, but for those who have it to all.
func ofSome(bindings []*Binding, action Action, toAll map[Subject]bool) (some []Holder) {
	for _, b := range bindings {
		names := b.names(action)
		if len(names) == 0 {
			continue
		}
		for _, subject := range b.Subjects {
			if !toAll[subject] {
				some = append(some, Holder{subject, b, names})
			}
		}
	}
	return some
}
