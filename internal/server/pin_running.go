package server

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/rewriting"
)

const (
	// runningEvery is how often it is looked what runs in the cluster.
	runningEvery = 5 * time.Minute
	// maxRunning bounds the images that are pinned, runningAtOnce those of one transaction.
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

// pinRunningOnce tells how many images run that the registry may have, and how many of them
// it has.
func (s *Server) pinRunningOnce(ctx context.Context) (found, pinned int, err error) {
	g := s.generation()
	defer g.requests.Done()
	pods, err := g.running.Look(ctx)
	if err != nil {
		return 0, 0, err
	}
	images := imagesHere(pods)
	if found = len(images); found > maxRunning {
		return found, 0, fmt.Errorf("the pods of the cluster have more than %d images", maxRunning)
	}
	now := s.options.Tuning.Now()
	for len(images) > 0 {
		some := images[:min(len(images), runningAtOnce)]
		images = images[len(some):]
		n, err := s.floor.DB.Pins.Running(ctx, some, now, now.Add(s.config.Kubernetes.PinRunning))
		if err != nil {
			return found, pinned, err
		}
		pinned += n
	}
	// Only now: what could not be looked for is kept.
	return found, pinned, s.floor.DB.Pins.EndRunning(ctx, now)
}

// imagesHere are those of pods that the registry may have, each once.
func imagesHere(pods []rewriting.Pod) (all []metadata.RunningImage) {
	seen := map[metadata.RunningImage]bool{}
	for _, p := range pods {
		for _, image := range p.Images {
			here := metadata.RunningImage{Repository: image.Repository, Digest: image.Digest, Tag: image.Tag}
			if here.Digest != "" {
				here.Tag = ""
			}
			if here.Repository != "" && !seen[here] {
				all = append(all, here)
			}
			seen[here] = true
		}
	}
	return all
}
