package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/rewriting"
	"github.com/larder-registry/larder/internal/warm"
)

const (
	// runningFresh is how long whoever asks is told what was seen last.
	runningFresh = 15 * time.Second
	// maxPods bounds the pods that are looked at: no cluster is made for more.
	maxPods = 150_000
)

// running looks which pods run, and tells which of their images are here by the names of one
// configuration. It is safe for concurrent use.
type running struct {
	server *Server
	of     rewriting.Installation // without its cluster
	find   func(ctx context.Context, image string) (warm.Target, error)

	mu   sync.Mutex // held by who looks
	pods []rewriting.Pod
	at   time.Time
	// mute is true while it cannot be found out which namespaces opt out by their labels.
	mute bool
}

// Pods are those that were seen a few seconds ago, or are now. They are not changed.
func (r *running) Pods(ctx context.Context) ([]rewriting.Pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh := runningFresh
	if tuned := r.server.options.Tuning.Running; tuned != 0 {
		fresh = tuned
	}
	if !r.at.IsZero() && time.Since(r.at) < fresh {
		return r.pods, nil
	}
	return r.look(ctx)
}

// Look sees which pods run now.
func (r *running) Look(ctx context.Context) ([]rewriting.Pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.look(ctx)
}

func (r *running) look(ctx context.Context) ([]rewriting.Pod, error) {
	cluster, err := kube.Kubeconfig{File: r.server.config.Kubernetes.Kubeconfig}.Open("larder/" + r.server.options.Version)
	if err != nil {
		return nil, err
	}
	pods, err := rewriting.Of(cluster, r.of.Rules, r.of.OptOut).Pods(ctx, maxPods)
	noLabels := errors.Is(err, rewriting.ErrNoLabels)
	switch {
	case noLabels && !r.mute:
		r.server.log.Warn("namespaces that opt out by their label are told as if they did not: Larder needs the right to list namespaces", "error", err)
	case err != nil && !noLabels:
		return nil, fmt.Errorf("looking what runs in the cluster: %w", err)
	}
	r.mute = noLabels
	known := map[kube.RunningImage]rewriting.PodImage{}
	for _, p := range pods {
		for i, image := range p.Images {
			here, is := known[image.RunningImage]
			if !is {
				here = r.here(ctx, image)
				known[image.RunningImage] = here
			}
			here.From = image.From
			p.Images[i] = here
		}
	}
	r.pods, r.at = pods, time.Now()
	r.server.clusterPods.Set(pods)
	return pods, nil
}

// here tells what an image is here; nothing where it is another registry's. In a pod acme/app
// is Docker Hub's, whatever projects there are.
func (r *running) here(ctx context.Context, image rewriting.PodImage) rewriting.PodImage {
	name, _ := r.of.Rules.Rewrite(image.Name)
	name, ours := strings.CutPrefix(name, r.of.Rules.Host+"/")
	if !ours {
		return image
	}
	target, err := r.find(ctx, name)
	if err != nil || target.Kind == "" {
		return image
	}
	reference := target.Reference
	if image.Digest != "" {
		reference = oci.Reference{Digest: image.Digest}
	}
	image.Repository, image.Tag, image.Digest = target.Repository.String(), target.Reference.Tag, reference.Digest
	image.MirroredAt = r.server.nodePulls.Last(target.Repository, reference)
	return image
}

// seen is what the API tells of a cluster's pods.
func (s *Server) seen(r *running) api.Seen {
	seen := api.Seen{Reviews: s.admission.Reviews().All, Since: s.began}
	if s.config.Kubernetes.PinRunning > 0 {
		seen.Pods = r.Pods
	}
	return seen
}
