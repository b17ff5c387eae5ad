package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pullthrough"
	"github.com/larder-registry/larder/internal/registry"
)

// names finds what answers for a repository: the hosted registry, or the cache of
// the upstream that the name or the ns parameter means.
type names struct {
	projects   *metadata.Projects
	hosted     *registry.Registry
	caches     map[string]cacheProject // by project
	registries map[string]string       // project by upstream registry name, such as docker.io
	// known are hosted projects that have been looked up, and at which mark, so that a
	// warm request reads no metadata for its project.
	known sync.Map
}

func newNames(projects *metadata.Projects, hosted *registry.Registry) *names {
	return &names{
		projects: projects, hosted: hosted,
		caches: map[string]cacheProject{}, registries: map[string]string{},
	}
}

// cacheProject is one cache and how names are read in it.
type cacheProject struct {
	cache *pullthrough.Cache
	hub   bool // one-part names live under library/
}

func (n *names) add(u Upstream, project cacheProject) {
	n.caches[u.Name] = project
	for _, name := range u.Registries {
		n.registries[name] = u.Name
	}
}

// Resolve implements distribution.Resolver. ns is a key into the configured
// upstreams and never an address to dial.
func (n *names) Resolve(ctx context.Context, name, ns string) (distribution.Target, error) {
	if ns != "" {
		return n.resolveNamespace(name, ns)
	}
	project, rest, _ := strings.Cut(name, "/")
	if c, ok := n.caches[project]; ok && rest != "" {
		return c.target(project, rest, "")
	}
	repo, err := oci.ParseRepository(name)
	if err != nil {
		return distribution.Target{}, err
	}
	return n.resolveHosted(ctx, repo)
}

func (n *names) resolveNamespace(name, ns string) (distribution.Target, error) {
	project, ok := n.registries[strings.ToLower(ns)]
	if !ok {
		return distribution.Target{}, &oci.Error{
			Code:    oci.CodeNameUnknown,
			Message: fmt.Sprintf("this registry mirrors no registry called %.100q: its operator can add it to the registries of an upstream", ns),
		}
	}
	return n.caches[project].target(project, name, ns)
}

// target completes a name as its upstream knows it: Docker Hub keeps one-part names
// under library/.
func (c cacheProject) target(project, rest, ns string) (distribution.Target, error) {
	if c.hub && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	repo, err := oci.ParseRepository(project + "/" + rest)
	if err != nil {
		return distribution.Target{}, err
	}
	return distribution.Target{Repository: repo, Kind: metadata.Cache, Images: c.cache, Namespace: ns}, nil
}

// resolveHosted finds a hosted project. Where there is none, the target has no kind:
// who asks decides whether a push may make it.
func (n *names) resolveHosted(ctx context.Context, repo oci.Repository) (distribution.Target, error) {
	target := distribution.Target{Repository: repo, Kind: metadata.Hosted, Images: n.hosted}
	mark := n.hosted.ProjectsMark()
	if known, ok := n.known.Load(repo.Project()); ok && known == mark {
		return target, nil
	}
	project, err := n.projects.Get(ctx, repo.Project())
	if errors.Is(err, metadata.ErrNotFound) {
		n.known.Delete(repo.Project())
		return distribution.Target{Repository: repo}, nil
	}
	if err != nil {
		return distribution.Target{}, fmt.Errorf("looking up project %s: %w", repo.Project(), err)
	}
	if project.Kind == metadata.Cache {
		return distribution.Target{}, &oci.Error{
			Code:    oci.CodeNameUnknown,
			Message: fmt.Sprintf("project %s mirrored an upstream that is no longer configured: its operator can add the upstream again", project.Name),
		}
	}
	n.known.Store(project.Name, mark)
	return target, nil
}
