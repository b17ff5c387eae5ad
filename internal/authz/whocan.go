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
}

// WhoCan tells all subjects to whom a binding gives the right to an action, each with the
// first binding that does; users first, ordered by name.
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
				all = append(all, Holder{subject, b})
			}
		}
	}
	slices.SortFunc(all, func(a, b Holder) int {
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
