package server

import (
	"context"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// runningEvery is how often it is looked what runs in the cluster.
	runningEvery = 5 * time.Minute
	// maxRunning bounds the images that run there, runningAtOnce those that one transaction
	// pins.
	maxRunning    = metadata.MaxPins
	runningAtOnce = 500
)

// pinRunning keeps the images that run in the cluster, until ctx ends. Of several processes on
// one database one looks at a time.
func (s *Server) pinRunning(ctx context.Context) {
	every := s.options.Tuning.Running
	if every == 0 {
		every = runningEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false // so that the log hears of a failure once
	for {
		s.floor.alone(ctx, "running-images", func(ctx context.Context) {
			found, pinned, err := s.pinRunningOnce(ctx)
			switch {
			case err != nil && !failing && ctx.Err() == nil:
				s.log.Warn("it could not be looked what runs in the cluster, so that it is not pinned: Larder needs the right to list pods; kubernetes.pinRunning: 0s turns it off", "error", err)
			case err == nil:
				s.log.Debug("images that run in the cluster are pinned", "running", found, "pinned", pinned)
			}
			failing = err != nil
		})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pinRunningOnce tells how many images run, and how many of them the registry has.
func (s *Server) pinRunningOnce(ctx context.Context) (found, pinned int, err error) {
	cluster, err := kube.Kubeconfig{File: s.config.Kubernetes.Kubeconfig}.Open("larder/" + s.options.Version)
	if err != nil {
		return 0, 0, err
	}
	running, err := cluster.RunningImages(ctx, maxRunning)
	if err != nil {
		return 0, 0, err
	}
	now := time.Now()
	if s.options.Tuning.Now != nil {
		now = s.options.Tuning.Now()
	}
	images := s.runningHere(ctx, running)
	for len(images) > 0 {
		some := images[:min(len(images), runningAtOnce)]
		images = images[len(some):]
		n, err := s.floor.DB.Pins.Running(ctx, some, now, now.Add(s.config.Kubernetes.PinRunning))
		if err != nil {
			return len(running), pinned, err
		}
		pinned += n
	}
	// Only now: what could not be looked for is kept.
	return len(running), pinned, s.floor.DB.Pins.EndRunning(ctx, now)
}

// runningHere are those of the images that the registry may have, by their names here.
func (s *Server) runningHere(ctx context.Context, running []kube.RunningImage) []metadata.RunningImage {
	g := s.generation()
	defer g.requests.Done()
	var all []metadata.RunningImage
	for _, image := range running {
		target, err := g.warmer.Find(ctx, strings.TrimPrefix(image.Name, g.host+"/"))
		if err != nil || target.Kind == "" {
			continue // it is another registry's
		}
		here := metadata.RunningImage{Repository: target.Repository.String(), Digest: target.Reference.Digest, Tag: target.Reference.Tag}
		if image.Digest != "" {
			here.Digest = image.Digest
		}
		all = append(all, here)
	}
	return all
}
