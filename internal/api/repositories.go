package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Repositories keeps the repositories.
type Repositories interface {
	Exists(ctx context.Context, name string) (bool, error)
	Create(ctx context.Context, name string) error
	Get(ctx context.Context, name string) (metadata.Repository, error)
	Entries(ctx context.Context, project, after string, limit int) ([]metadata.Repository, error)
	Describe(ctx context.Context, name, description, readme string) error
	SetLocalLookup(ctx context.Context, name string, enabled bool) error
}

// Repository is a repository, which OpenShift calls an image stream.
type Repository struct {
	Name        string       `json:"name" doc:"Without the project"`
	Project     string       `json:"project"`
	Description string       `json:"description,omitempty"`
	Readme      string       `json:"readme,omitempty" doc:"Markdown; not in lists"`
	Tags        int          `json:"tags" doc:"How many there are"`
	CreatedAt   time.Time    `json:"createdAt"`
	UpdatedAt   *time.Time   `json:"updatedAt,omitempty" doc:"When a tag was last set"`
	Pulls       int64        `json:"pulls" doc:"How many images were pulled from it, each platform for itself; lags by seconds"`
	Stars       int          `json:"stars" doc:"How many have starred it"`
	Lookup      LookupPolicy `json:"lookupPolicy"`
	Visibility  string       `json:"visibility" enum:"private,logged in,public" doc:"Who can pull from it: those with a role, all who are logged in, everybody"`
}

// LookupPolicy says by which names pods reach a repository.
type LookupPolicy struct {
	Local bool `json:"local" doc:"Whether NAME:TAG in a pod of the namespace that is called like the project means this repository, where the webhook is on"`
}

// RepositoryText is what is said of a repository; what is absent stays.
type RepositoryText struct {
	Description *string `json:"description,omitempty" maxLength:"100" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text"`
	Readme      *string `json:"readme,omitempty" maxLength:"25000" doc:"Markdown"`
}

// RepositoryChange changes a repository; what is absent stays.
type RepositoryChange struct {
	RepositoryText
	Lookup *LookupPolicy `json:"lookupPolicy,omitempty"`
}

// RepositoryRequest asks for a new repository.
type RepositoryRequest struct {
	Name string `json:"name" doc:"Without the project" example:"centos"`
	RepositoryText
}

// RepositoryPath names a repository in a path.
type RepositoryPath struct {
	Project    string `path:"project"`
	Repository string `path:"repository" doc:"Without the project; / is written %2F"`
}

type repositoryInput struct {
	Credentials
	RepositoryPath
}

type repositoryOutput struct {
	Location string `header:"Location" doc:"Where a repository that was made is found"`
	Body     Repository
}

type createRepositoryInput struct {
	Credentials
	Project string `path:"project"`
	Body    RepositoryRequest
}

type describeRepositoryInput struct {
	Credentials
	RepositoryPath
	Body RepositoryChange
}

func (s *service) registerRepositories(api huma.API) {
	const path = "/api/v1/projects/{project}/repositories"
	tags := []string{"repositories"}
	register(s, api, huma.Operation{
		OperationID: "list-repositories", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List a project's repositories", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.listRepositories)
	register(s, api, huma.Operation{
		OperationID: "create-repository", Method: http.MethodPost, Path: path, Tags: tags,
		Summary: "Make a repository; the first push to one does, too", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.createRepository)
	register(s, api, huma.Operation{
		OperationID: "get-repository", Method: http.MethodGet, Path: path + "/{repository}", Tags: tags,
		Summary: "Read a repository", Errors: []int{http.StatusNotFound},
	}, s.getRepository)
	register(s, api, huma.Operation{
		OperationID: "describe-repository", Method: http.MethodPatch, Path: path + "/{repository}", Tags: tags,
		Summary: "Change what is said of a repository, and how pods reach it", Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound},
	}, s.describeRepository)
	register(s, api, huma.Operation{
		OperationID: "delete-repository", Method: http.MethodDelete, Path: path + "/{repository}", Tags: tags,
		Summary: "Delete a repository with its tags and images", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.deleteRepository)
}

func (s *service) repositoryOf(ctx context.Context, decide authz.Decide, r metadata.Repository, kind metadata.Kind) (Repository, error) {
	name := oci.Repository(r.Name)
	visibility, err := visibilityOf(ctx, decide, repositoryTarget(name, kind))
	if err == nil && kind == metadata.Cache && !r.Shown && visibility != visiblePrivate {
		visibility, err = s.visibilityUpstream(ctx, name)
	}
	shown := Repository{
		Name: name.Rest(), Project: name.Project(), Description: r.Description, Readme: r.Readme,
		Tags: r.Tags, CreatedAt: r.CreatedAt, UpdatedAt: timeOrNone(r.UpdatedAt), Visibility: visibility,
		Pulls: r.Pulls, Stars: r.Stars, Lookup: LookupPolicy{Local: r.LocalLookup},
	}
	return shown, err
}

// visibilityUpstream tells who can pull what the roles open and the upstream keeps from
// strangers: all who are logged in, or the members of the projects whose own credentials
// alone can read it.
func (s *service) visibilityUpstream(ctx context.Context, name oci.Repository) (string, error) {
	if s.Shows != nil {
		shows, err := s.Shows(ctx, authn.AnyUser(), name)
		if err != nil || !shows {
			return visiblePrivate, err
		}
	}
	return visibleLoggedIn, nil
}

// timeOrNone leaves out a time that is not known.
func timeOrNone(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *service) createRepository(ctx context.Context, who caller, in *createRepositoryInput) (*repositoryOutput, error) {
	repo, err := oci.ParseRepository(in.Project + "/" + in.Body.Name)
	if err != nil {
		return nil, err
	}
	in.about(repo.Project(), repo.String())
	p, err := s.visibleProject(ctx, who, in.Project)
	if err != nil {
		return nil, err
	}
	if err := s.permit(ctx, who, authz.CreateRepository, repositoryTarget(repo, p.Kind)); err != nil {
		return nil, err
	}
	if p.Kind == metadata.Cache {
		return nil, problem(http.StatusBadRequest, fmt.Sprintf("repository %s was not made: project %s mirrors an upstream, whose repositories come with the first pull", repo, p.Name))
	}
	_, err = s.Repositories.Get(ctx, repo.String())
	if err == nil {
		return nil, problem(http.StatusConflict, fmt.Sprintf("repository %s was not made: it is there already", repo))
	}
	if !errors.Is(err, metadata.ErrNotFound) {
		return nil, err
	}
	if err := s.Repositories.Create(ctx, repo.String()); err != nil {
		return nil, err
	}
	if in.Body.RepositoryText != (RepositoryText{}) {
		if err := s.say(ctx, metadata.Repository{Name: repo.String()}, in.Body.RepositoryText); err != nil {
			return nil, err
		}
	}
	made, err := s.showRepository(ctx, repo, p.Kind)
	if err != nil {
		return nil, err
	}
	made.Location = "/api/v1/projects/" + repo.Project() + "/repositories/" + url.PathEscape(repo.Rest())
	return made, nil
}

func (s *service) showRepository(ctx context.Context, repo oci.Repository, kind metadata.Kind) (*repositoryOutput, error) {
	r, err := s.Repositories.Get(ctx, repo.String())
	if err != nil {
		return nil, err
	}
	shown, err := s.repositoryOf(ctx, s.Authorizer.Allowed, r, kind)
	return &repositoryOutput{Body: shown}, err
}

// say changes what is said of a repository.
func (s *service) say(ctx context.Context, r metadata.Repository, text RepositoryText) error {
	if text.Description != nil {
		r.Description = *text.Description
	}
	if text.Readme != nil {
		r.Readme = *text.Readme
	}
	return s.Repositories.Describe(ctx, r.Name, r.Description, r.Readme)
}

func (s *service) getRepository(ctx context.Context, who caller, in *repositoryInput) (*repositoryOutput, error) {
	r, target, err := s.visibleRepository(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	shown, err := s.repositoryOf(ctx, s.Authorizer.Allowed, r, target.Kind)
	return &repositoryOutput{Body: shown}, err
}

func (s *service) describeRepository(ctx context.Context, who caller, in *describeRepositoryInput) (*repositoryOutput, error) {
	r, target, err := s.visibleRepository(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	if err := s.permit(ctx, who, authz.UpdateRepository, target); err != nil {
		return nil, err
	}
	if lookup := in.Body.Lookup; lookup != nil {
		if target.Kind == metadata.Cache && lookup.Local {
			return nil, problem(http.StatusBadRequest, fmt.Sprintf("repository %s is not looked up by short names: project %s mirrors an upstream, and no namespace is that project's", r.Name, target.Project))
		}
		if err := s.Repositories.SetLocalLookup(ctx, r.Name, lookup.Local); err != nil {
			return nil, err
		}
	}
	if in.Body.RepositoryText != (RepositoryText{}) {
		if err := s.say(ctx, r, in.Body.RepositoryText); err != nil {
			return nil, err
		}
	}
	return s.showRepository(ctx, oci.Repository(r.Name), target.Kind)
}

func (s *service) deleteRepository(ctx context.Context, who caller, in *repositoryInput) (*struct{}, error) {
	r, target, err := s.visibleRepository(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	if err := s.permit(ctx, who, authz.Delete, target); err != nil {
		return nil, err
	}
	repo := oci.Repository(r.Name)
	return nil, s.Images.DeleteRepository(ctx, repo, shareRoles(repo.Rest()))
}
