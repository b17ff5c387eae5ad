package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// RepositoryList is one page of repositories, ordered by name.
type RepositoryList struct {
	Items []Repository `json:"items"`
	Next  string       `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type listRepositoriesInput struct {
	Credentials
	Page
	Project string `path:"project"`
}

type listRepositoriesOutput struct{ Body RepositoryList }

func (s *service) listRepositories(ctx context.Context, who caller, in *listRepositoriesInput) (*listRepositoriesOutput, error) {
	p, err := s.visibleProject(ctx, who, in.Project)
	if err != nil {
		return nil, err
	}
	if err := s.permit(ctx, who, authz.List, projectTarget(p)); err != nil {
		return nil, err
	}
	page, next, err := s.repositoryPage(ctx, who, p, in.Page)
	if err != nil {
		return nil, err
	}
	out := &listRepositoriesOutput{Body: RepositoryList{Items: []Repository{}, Next: next}}
	decide := s.Authorizer.ForMany()
	for i, r := range page {
		r.Readme = ""
		shown, err := s.repositoryOf(ctx, decide, r, p.Kind)
		if errors.Is(err, authz.ErrSpent) && i > 0 {
			out.Body.Next = oci.Repository(page[i-1].Name).Rest()
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out.Body.Items = append(out.Body.Items, shown)
	}
	return out, nil
}

// repositoryPage reads a page of a project's repositories, without those of a cache that
// are not for the caller. Next is where the page after it begins, and names none of them.
func (s *service) repositoryPage(ctx context.Context, who caller, p metadata.Project, in Page) (shown []metadata.Repository, next string, err error) {
	after, err := s.Cursors.OpenCursor(ctx, in.After)
	if errors.Is(err, authn.ErrCursor) {
		return nil, "", problem(http.StatusBadRequest, err.Error())
	}
	if err != nil {
		return nil, "", err
	}
	if after != "" {
		after = p.Name + "/" + after
	}
	page, err := s.Repositories.Entries(ctx, p.Name, after, in.Limit+1)
	if err != nil {
		return nil, "", err
	}
	page, last := paged(page, in.Limit, func(r metadata.Repository) string { return oci.Repository(r.Name).Rest() })
	told := ""
	for _, r := range page {
		name := oci.Repository(r.Name)
		shows, err := s.shows(ctx, who, repositoryTarget(name, p.Kind))
		if err != nil {
			return nil, "", err
		}
		if shows {
			shown, told = append(shown, r), name.Rest()
		}
	}
	if last != "" {
		next, err = s.cursor(ctx, last, told)
	}
	return shown, next, err
}
