package server

import (
	"crypto/rand"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/oci"
)

// newEvictor makes the one that holds the cache to its size. It tells forget of what it
// has evicted.
func (f *floor) newEvictor(config Config, to prometheus.Registerer) *gc.Evictor {
	c := gc.EvictorConfig{
		DB: f.DB, Sweeper: f.gc.Sweeper, Limit: config.CacheSize,
		Forget: func(repo oci.Repository, manifests []digest.Digest) { f.forget(repo, manifests) },
		Holder: rand.Text(), Metrics: gc.NewEvictionMetrics(to), Log: f.log,
	}
	if config.Storage == nil {
		c.Space = func() (gc.Space, error) { return diskSpace(f.Data.Path()) }
	}
	return gc.NewEvictor(c)
}

// diskSpace measures the file system that holds a folder, as df does: what only root may
// take counts neither as used nor as free.
func diskSpace(folder string) (gc.Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return gc.Space{}, fmt.Errorf("measuring the file system of %s: %w", folder, err)
	}
	size := int64(s.Bsize)
	return gc.Space{Used: int64(s.Blocks-s.Bfree) * size, Free: int64(s.Bavail) * size}, nil
}

// evicted makes all forget what is no longer there.
func (s *Server) evicted(repo oci.Repository, manifests []digest.Digest) {
	s.floor.held.Evicted(repo)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, c := range s.current.caches {
		if c.Project == repo.Project() {
			c.Evicted(repo, manifests)
		}
	}
}
