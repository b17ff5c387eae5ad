package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// checker is the registry, which caches help to repair.
type checker struct {
	*registry.Registry
	server *Server
}

// Fsck implements api.Checker.
func (c checker) Fsck(ctx context.Context, check registry.Fsck) error {
	check.Refetch = c.server.refetch
	return c.Registry.Fsck(ctx, check)
}

// refetch fetches a blob anew through a repository of a cache.
func (s *Server) refetch(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	g := s.generation()
	defer g.requests.Done()
	if cache := g.cacheOf(repo); cache != nil {
		return cache.Refetch(ctx, repo, d)
	}
	return fmt.Errorf("project %s has no upstream any more", repo.Project())
}

// Fsck checks what a server has kept that is stopped.
func Fsck(ctx context.Context, config Config, check registry.Fsck, log *slog.Logger) (err error) {
	stores, err := OpenStores(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	held := registry.New(registry.Config{DB: stores.DB, Blobs: stores.Blobs, Log: log})
	defer held.Close()
	return held.Fsck(ctx, check)
}
