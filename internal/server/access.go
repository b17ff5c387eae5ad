package server

import (
	"context"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
)

// authorizer tells what a caller may do.
type authorizer interface {
	Allowed(ctx context.Context, id authn.Identity, action authz.Action, target authz.Target) (bool, error)
}

// openAccess reads who may do what, or chooses the cluster that decides it.
func (f *floor) openAccess(ctx context.Context, config Config, options Options) (err error) {
	f.roles, err = authz.Open(ctx, authz.Config{
		Roles: f.DB.Roles, RoleBindings: f.DB.RoleBindings, Projects: f.DB.Projects,
		Changes: f.DB.Changes.Access, SelfProvision: config.Projects.SelfProvision, Log: f.log,
	})
	if err != nil {
		return err
	}
	f.asks, f.may = f.who, f.roles
	if config.Access == AccessKubernetes {
		return f.openCluster(config, options)
	}
	return nil
}

// ownRoles are the roles that people can change here; nil where a cluster keeps them.
func (f *floor) ownRoles() *authz.Authorizer {
	if f.cluster != nil {
		return nil
	}
	return f.roles
}
