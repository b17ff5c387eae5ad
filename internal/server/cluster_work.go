package server

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/imagetrigger"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/pullsecrets"
	"github.com/larder-registry/larder/internal/sleep"
)

// clusterWorkPause is how long a replica waits before it looks whether the one that works on
// the cluster has ended.
const clusterWorkPause = 10 * time.Second

// clusterWork changes objects of a cluster until the context ends. One of the replicas does
// it at a time.
type clusterWork struct {
	name string
	run  func(context.Context)
}

// openClusterWork makes what works on the objects of a cluster, of what is configured.
func (f *floor) openClusterWork(config Config, options Options) error {
	k := config.Kubernetes
	if !k.PullSecrets && len(k.ImageTriggers) == 0 {
		return nil
	}
	cluster, err := kube.Config{Kubeconfig: k.Kubeconfig, UserAgent: "larder/" + options.Version}.OpenCluster()
	if err != nil {
		return fmt.Errorf("kubernetes.pullSecrets and kubernetes.imageTriggers work on a cluster: %w", err)
	}
	if k.PullSecrets {
		issuer := pullsecrets.Issuer(&ownTokens{who: f.who, accounts: authn.NewAccounts(f.who, f.DB.Users, f.DB.Groups)})
		if config.Access == AccessKubernetes {
			issuer = &clusterTokens{cluster: cluster, audiences: k.Audiences}
		}
		secrets := pullsecrets.New(pullsecrets.Config{
			Cluster: cluster, Issuer: issuer, Host: config.PublicURL.Host, Now: options.Tuning.Now, Log: f.log,
		})
		f.clusterWork = append(f.clusterWork, clusterWork{"pull secrets", secrets.Run})
	}
	if len(k.ImageTriggers) > 0 {
		triggers := imagetrigger.New(imagetrigger.Config{
			Cluster: cluster, Tags: f.DB.Tags, Projects: f.DB.Projects, Authorizer: f.may,
			Watched: mirror.OptOut{Namespaces: k.ImageTriggers}.Namespace, Host: config.PublicURL.Host, Now: options.Tuning.Now, Log: f.log,
		})
		f.clusterWork = append(f.clusterWork, clusterWork{"image triggers", triggers.Run})
	}
	return nil
}

// workOnCluster works until the context ends.
func (f *floor) workOnCluster(ctx context.Context, work clusterWork) {
	for ctx.Err() == nil {
		f.alone(ctx, work.name, work.run)
		_ = sleep.For(ctx, clusterWorkPause) // the loop looks whether ctx has ended
	}
}
