package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// pulledAs is the repository that pulls by a name mean: docker-hub/nginx is
// docker-hub/library/nginx. What no pull means stays as it is, and so does what is more than
// a name: app:1 is a tag of app.
func (s *service) pulledAs(ctx context.Context, path RepositoryPath) RepositoryPath {
	if s.Warmer == nil || oci.CheckName(path.Project+"/"+path.Repository) != nil {
		return path
	}
	target, err := s.Warmer.Find(ctx, path.Project+"/"+path.Repository)
	if err != nil || target.Repository.Project() != path.Project {
		return path
	}
	return RepositoryPath{Project: path.Project, Repository: target.Repository.Rest()}
}

// visibleRepository finds a repository that the caller may see, by any name that pulls
// know it by.
func (s *service) visibleRepository(ctx context.Context, who caller, path RepositoryPath) (metadata.Repository, authz.Target, error) {
	path = s.pulledAs(ctx, path)
	hidden := problem(http.StatusNotFound, fmt.Sprintf("repository %.255s/%.255s does not exist, or you may not see it: larder get imagestreams -n %.255s lists those that you may see", path.Project, path.Repository, path.Project))
	repo, err := oci.ParseRepository(path.Project + "/" + path.Repository)
	if err != nil || repo.Project() != path.Project {
		return metadata.Repository{}, authz.Target{}, hidden
	}
	p, err := s.Projects.Get(ctx, repo.Project())
	if err == nil {
		target := repositoryTarget(repo, p.Kind)
		var sees bool
		if sees, err = s.Authorizer.Allowed(ctx, who.Identity, authz.Describe, target); err == nil && sees {
			sees, err = s.shows(ctx, who, target)
		}
		if err == nil && sees {
			var r metadata.Repository
			if r, err = s.Repositories.Get(ctx, repo.String()); err == nil {
				return r, target, nil
			}
		}
	}
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return metadata.Repository{}, authz.Target{}, err
	}
	return metadata.Repository{}, authz.Target{}, hidden
}

// shows tells whether a repository of a cache that the caller may see is not one that only
// other projects' own credentials can read. Whoever keeps the cache in order sees all.
func (s *service) shows(ctx context.Context, who caller, target authz.Target) (bool, error) {
	if target.Kind != metadata.Cache || s.Shows == nil {
		return true, nil
	}
	shows, err := s.Shows(ctx, who.Identity, oci.Repository(target.Repository))
	if err != nil || shows {
		return shows, err
	}
	return s.Authorizer.Allowed(ctx, who.Identity, authz.Delete, target)
}

// repositoryTarget is a repository as something that is done something to.
func repositoryTarget(repo oci.Repository, kind metadata.Kind) authz.Target {
	return authz.Target{Project: repo.Project(), Repository: repo.String(), Kind: kind}
}
