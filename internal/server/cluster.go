package server

import (
	"context"
	"fmt"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/kube"
)

// authenticator tells who a caller is.
type authenticator interface {
	distribution.Authenticator
	api.Authenticator
}

// newReviewer makes a client that asks a cluster. It need not answer yet.
func (f *floor) newReviewer(config Config, options Options) (*kube.Client, error) {
	return kube.New(kube.Config{
		Kubeconfig: config.Kubernetes.Kubeconfig, Audiences: config.Kubernetes.Audiences,
		UserAgent: "larder/" + options.Version, Now: options.Tuning.Now, Log: f.log,
	})
}

// openServiceAccounts takes the tokens of a cluster's service accounts, whose rights are
// kept here.
func (f *floor) openServiceAccounts(config Config, options Options) error {
	reviewer, err := f.newReviewer(config, options)
	if err != nil {
		return fmt.Errorf("kubernetes.serviceAccountTokens: %w", err)
	}
	f.asks, err = authn.WithServiceAccounts(f.who, reviewer)
	return err
}

// openCluster has a cluster decide.
func (f *floor) openCluster(config Config, options Options) (err error) {
	if f.cluster, err = f.newReviewer(config, options); err != nil {
		return fmt.Errorf("access: kubernetes: %w", err)
	}
	f.asks, err = authn.WithCluster(f.who, f.cluster)
	f.may = authz.NewCluster(f.cluster)
	return err
}

// checkCluster tells the log whether the cluster that decides will do so.
func (f *floor) checkCluster(ctx context.Context) {
	if err := f.cluster.Check(ctx); err != nil && ctx.Err() == nil {
		f.log.Warn("the cluster that is to decide who may do what does not: until it does, nobody logs in by its tokens and only caches are open", "error", err)
	}
}
