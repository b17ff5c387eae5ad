package server

import (
	"context"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
)

// authorizer tells what a caller may do.
type authorizer interface {
	distribution.Authorizer
	api.Authorizer
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
	if config.Kubernetes.ServiceAccountTokens {
		return f.openServiceAccounts(config, options)
	}
	return nil
}

// ownRoles are the roles that people can change here; nil where a cluster keeps them, which
// is the second then.
func (f *floor) ownRoles() (*authz.Authorizer, *authz.Cluster) {
	if cluster, ok := f.may.(*authz.Cluster); ok {
		return nil, cluster
	}
	return f.roles, nil
}
