// Package authz answers whether a caller may do something, in the words of
// Kubernetes RBAC. Who the caller is has been found out before, by authn.
package authz

import (
	"context"
	"slices"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// Target is what an action is done to. Empty fields mean all: a Target without a
// Repository is the project, one without a Project the whole registry.
type Target struct {
	Project string
	// Repository is the whole name, the project included.
	Repository string
	// Kind is the project's; empty when there is no such project.
	Kind metadata.Kind
}

// Authorizer decides. It is safe for concurrent use.
type Authorizer struct{}

// New returns an Authorizer that lets administrators do everything, and everyone,
// strangers included, pull from cache projects. Which repositories of an upstream
// strangers may see is for the cache to find out: the upstream decides it.
func New() *Authorizer { return &Authorizer{} }

// Allowed tells whether id may do action to target. The error is an *UndecidedError.
func (*Authorizer) Allowed(_ context.Context, id authn.Identity, action Action, target Target) (bool, error) {
	if slices.Contains(id.Groups, authn.GroupMasters) {
		return true, nil
	}
	return action == Pull && target.Kind == metadata.Cache, nil
}
