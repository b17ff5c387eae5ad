package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pullthrough"
)

const (
	// firstRetention is how long after the start the rules of projects are first kept to,
	// so that whoever starts a server with old data can look at it.
	firstRetention = time.Hour
	// retentions is how long one run waits for the next, retentionRetry how long after one
	// that could not be.
	retentions     = 24 * time.Hour
	retentionRetry = time.Hour
)

// retention keeps to the rules of projects, by way of the cache where a project has one.
func (s *Server) retention() *gc.Retention {
	return &gc.Retention{DB: s.floor.DB, Retirer: retirer{s}, Now: s.options.Tuning.Now}
}

// retain keeps to the rules of projects once a day until ctx ends.
func (s *Server) retain(ctx context.Context) {
	first := s.options.Tuning.Retention
	if first == 0 {
		first = firstRetention
	}
	wait := time.NewTimer(first)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if s.retainOnce(ctx) {
			wait.Reset(retentions)
		} else {
			wait.Reset(retentionRetry)
		}
	}
}

func (s *Server) retainOnce(ctx context.Context) (done bool) {
	retired, err := s.retention().Run(ctx)
	switch {
	case errors.Is(err, gc.ErrBusy):
		s.log.Info("retention waits", "because", gc.ErrBusy, "for", retentionRetry.String())
		return false
	case err != nil && ctx.Err() == nil:
		s.log.Error("retention was ended by an error", "error", err)
	}
	if retired.Projects > 0 {
		s.log.Info("kept to the rules of retention", "projects", retired.Projects, "tags_deleted", retired.Tags,
			"manifests_deleted", retired.Manifests, "repositories_in_use", retired.Changed)
	}
	return err == nil
}

// retirer removes from a project's cache where it has one: caches know tags by heart.
type retirer struct{ *Server }

// RetireTag implements gc.Retirer.
func (r retirer) RetireTag(ctx context.Context, repo oci.Repository, t metadata.Tag) (bool, error) {
	g := r.generation()
	defer g.requests.Done()
	if c := g.cacheOf(repo); c != nil {
		return c.RetireTag(ctx, repo, t)
	}
	return r.floor.held.RetireTag(ctx, repo, t)
}

// RetireManifest implements gc.Retirer.
func (r retirer) RetireManifest(ctx context.Context, repo oci.Repository, m metadata.ManifestLink) (bool, error) {
	g := r.generation()
	defer g.requests.Done()
	if c := g.cacheOf(repo); c != nil {
		return c.RetireManifest(ctx, repo, m)
	}
	return r.floor.held.RetireManifest(ctx, repo, m)
}

// cacheOf is the cache that a repository belongs to, nil if it belongs to none.
func (g *generation) cacheOf(repo oci.Repository) *pullthrough.Cache {
	at := slices.IndexFunc(g.caches, func(c *pullthrough.Cache) bool { return c.Project == repo.Project() })
	if at < 0 {
		return nil
	}
	return g.caches[at]
}
