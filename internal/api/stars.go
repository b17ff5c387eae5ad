package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Stars keeps who has starred which repositories.
type Stars interface {
	Set(ctx context.Context, repository, user string, at time.Time) error
	Unset(ctx context.Context, repository, user string) error
	Of(ctx context.Context, user, after string, limit int) ([]metadata.Repository, error)
}

type listStarsInput struct {
	Credentials
	Page
}

func (s *service) registerStars(api huma.API) {
	const path = "/api/v1/projects/{project}/repositories/{repository}/star"
	tags := []string{"repositories"}
	register(s, api, huma.Operation{
		OperationID: "star", Method: http.MethodPut, Path: path, Tags: tags,
		Summary: "Star a repository that the caller may pull from", DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, s.star)
	register(s, api, huma.Operation{
		OperationID: "unstar", Method: http.MethodDelete, Path: path, Tags: tags,
		Summary: "Take the caller's star from a repository", DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, s.unstar)
	register(s, api, huma.Operation{
		OperationID: "list-stars", Method: http.MethodGet, Path: "/api/v1/stars", Tags: tags,
		Summary:     "List the repositories that the caller has starred and may still see",
		Description: "A page may have fewer repositories than its limit and yet name a next one.",
	}, s.listStars)
}

func (s *service) star(ctx context.Context, who caller, in *repositoryInput) (*struct{}, error) {
	r, err := s.pullable(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	return nil, s.Stars.Set(ctx, r.Name, who.User, s.Now())
}

func (s *service) unstar(ctx context.Context, who caller, in *repositoryInput) (*struct{}, error) {
	r, err := s.pullable(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	return nil, s.Stars.Unset(ctx, r.Name, who.User)
}

// pullable finds a repository that the caller may see or pull from.
func (s *service) pullable(ctx context.Context, who caller, path RepositoryPath) (metadata.Repository, error) {
	path = s.pulledAs(ctx, path)
	r, _, err := s.visibleRepository(ctx, who, path)
	if status, ok := errors.AsType[huma.StatusError](err); !ok || status.GetStatus() != http.StatusNotFound {
		return r, err
	}
	repo, parseErr := oci.ParseRepository(path.Project + "/" + path.Repository)
	if parseErr != nil || repo.Project() != path.Project {
		return metadata.Repository{}, err
	}
	_, may, mayErr := s.pulls(ctx, s.Authorizer.Allowed, who, repo)
	switch {
	case mayErr != nil:
		return metadata.Repository{}, mayErr
	case !may:
		return metadata.Repository{}, err
	}
	found, getErr := s.Repositories.Get(ctx, repo.String())
	if errors.Is(getErr, metadata.ErrNotFound) {
		return metadata.Repository{}, err
	}
	return found, getErr
}

// pulls tells whether the caller may pull from a repository of a project that is there.
func (s *service) pulls(ctx context.Context, decide authz.Decide, who caller, repo oci.Repository) (metadata.Kind, bool, error) {
	p, err := s.Projects.Get(ctx, repo.Project())
	if errors.Is(err, metadata.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	target := repositoryTarget(repo, p.Kind)
	may, err := decide(ctx, who.Identity, authz.Pull, target)
	if err == nil && may {
		may, err = s.shows(ctx, who, target)
	}
	return p.Kind, may, err
}

func (s *service) listStars(ctx context.Context, who caller, in *listStarsInput) (*listRepositoriesOutput, error) {
	page, err := s.Stars.Of(ctx, who.User, in.After, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listRepositoriesOutput{Body: RepositoryList{Items: []Repository{}}}
	page, out.Body.Next = paged(page, in.Limit, func(r metadata.Repository) string { return r.Name })
	decide := s.Authorizer.ForMany()
	for i, r := range page {
		shown, may, err := s.starred(ctx, decide, who, r)
		if errors.Is(err, authz.ErrSpent) && i > 0 {
			out.Body.Next = page[i-1].Name
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if may {
			out.Body.Items = append(out.Body.Items, shown)
		}
	}
	return out, nil
}

// starred shows a repository unless the caller may pull from it no longer.
func (s *service) starred(ctx context.Context, decide authz.Decide, who caller, r metadata.Repository) (Repository, bool, error) {
	kind, may, err := s.pulls(ctx, decide, who, oci.Repository(r.Name))
	if err != nil || !may {
		return Repository{}, false, err
	}
	r.Readme = "" // a list has the short description alone
	shown, err := s.repositoryOf(ctx, decide, r, kind)
	return shown, true, err
}
