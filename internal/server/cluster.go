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

// openCluster has a cluster decide. It need not answer yet.
func (f *floor) openCluster(config Config, options Options) (err error) {
	f.cluster, err = kube.New(kube.Config{
		Kubeconfig: config.Kubernetes.Kubeconfig, Audiences: config.Kubernetes.Audiences,
		UserAgent: "larder/" + options.Version, Now: options.Tuning.Now, Log: f.log,
	})
	if err != nil {
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
