package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Project is a project as clients see it.
type Project struct {
	Name        string    `json:"name"`
	Kind        string    `json:"kind" enum:"hosted,cache" doc:"hosted: people push to it; cache: it mirrors an upstream"`
	Description string    `json:"description,omitempty"`
	Creator     string    `json:"creator,omitempty" doc:"The user who made it; absent for cache projects"`
	CreatedAt   time.Time `json:"createdAt"`
	Visibility  string    `json:"visibility" enum:"private,logged in,public" doc:"Who can pull from all of it: those with a role, all who are logged in, everybody"`
	Quota       int64     `json:"quota,omitempty" doc:"How many bytes its blobs may take; absent for no limit"`
	Used        *int64    `json:"used,omitempty" doc:"How many bytes its blobs take; not in lists"`

	ImmutableTags []string `json:"immutableTags,omitempty" doc:"Patterns of tags that are set once and then stay"`
}

// ProjectRequest asks for a new project.
type ProjectRequest struct {
	Name        string `json:"name" doc:"The first segment of its repositories' names" example:"demo"`
	Kind        string `json:"kind,omitempty" enum:"hosted,cache" default:"hosted" doc:"Only hosted projects are made by request"`
	Description string `json:"description,omitempty" maxLength:"1000" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text"`
}

// ProjectList is one page of projects, ordered by name.
type ProjectList struct {
	Items []Project `json:"items" doc:"Those that the caller may see; a page may hold fewer than its limit"`
	Next  string    `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type projectInput struct {
	Credentials
	Name string `path:"name"`
}

type projectOutput struct {
	Location string `header:"Location" doc:"Where a project that was made is found"`
	Body     Project
}

type createProjectInput struct {
	Credentials
	Body ProjectRequest
}

type listProjectsOutput struct{ Body ProjectList }

func (s *service) registerProjects(api huma.API) {
	tags := []string{"projects"}
	register(s, api, huma.Operation{
		OperationID: "create-project", Method: http.MethodPost, Path: "/api/v1/projects", Tags: tags,
		Summary: "Make a hosted project", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict},
	}, s.createProject)
	register(s, api, huma.Operation{
		OperationID: "list-projects", Method: http.MethodGet, Path: "/api/v1/projects", Tags: tags,
		Summary: "List the projects that the caller may see",
	}, s.listProjects)
	register(s, api, huma.Operation{
		OperationID: "get-project", Method: http.MethodGet, Path: "/api/v1/projects/{name}", Tags: tags,
		Summary: "Read a project", Errors: []int{http.StatusNotFound},
	}, s.getProject)
}

func (s *service) createProject(ctx context.Context, who caller, in *createProjectInput) (*projectOutput, error) {
	name := in.Body.Name
	in.about(name, name)
	if err := checkNewProject(in.Body); err != nil {
		return nil, err
	}
	if err := s.mayHaveProject(ctx, who, name); err != nil {
		return nil, err
	}
	p := metadata.Project{
		Name: name, Kind: metadata.Hosted, Description: in.Body.Description,
		Creator: who.User, CreatedAt: s.Now().UTC().Truncate(time.Microsecond),
	}
	err := s.ProjectMaker.MakeProject(ctx, who.Identity, p)
	if errors.Is(err, metadata.ErrExists) {
		return nil, problem(http.StatusConflict, fmt.Sprintf("project %s was not made: there is one of that name already; use it with larder project %s, or choose another name", name, name))
	}
	if err != nil {
		return nil, err
	}
	made, err := s.showProject(ctx, p)
	if err != nil {
		return nil, err
	}
	made.Location = "/api/v1/projects/" + name
	return made, nil
}

// mayHaveProject refuses callers who may not make the project, be it as one of any name or
// as their own.
func (s *service) mayHaveProject(ctx context.Context, who caller, name string) error {
	target := authz.Target{Project: name}
	may, err := s.Authorizer.Allowed(ctx, who.Identity, authz.CreateProject, target)
	if err != nil || may {
		return err
	}
	return s.permit(ctx, who, authz.RequestProject, target)
}

func checkNewProject(r ProjectRequest) error {
	if r.Kind == string(metadata.Cache) {
		return problem(http.StatusBadRequest, fmt.Sprintf("project %q was not made: a cache project comes with its upstream; start the server with --upstream NAME=URL, or add it to upstreams in its configuration", r.Name))
	}
	if err := oci.CheckProject(r.Name); err != nil {
		return problem(http.StatusBadRequest, err.Error())
	}
	return nil
}

func (s *service) listProjects(ctx context.Context, who caller, in *pageInput) (*listProjectsOutput, error) {
	out := &listProjectsOutput{Body: ProjectList{Items: []Project{}}}
	decide := s.Authorizer.ForMany()
	next, err := s.projectPage(ctx, in.Page, func(p metadata.Project) (bool, error) {
		shown, visible, err := s.seenProject(ctx, decide, who, p)
		if visible && err == nil {
			out.Body.Items = append(out.Body.Items, shown)
		}
		return visible, err
	})
	out.Body.Next = next
	return out, err
}

// seenProject is a project as the caller sees it, if they do.
func (s *service) seenProject(ctx context.Context, decide authz.Decide, who caller, p metadata.Project) (shown Project, visible bool, err error) {
	visible, err = decide(ctx, who.Identity, authz.GetProject, projectTarget(p))
	if err != nil || !visible {
		return Project{}, false, err
	}
	shown, err = projectOf(ctx, decide, p)
	return shown, true, err
}

func (s *service) getProject(ctx context.Context, who caller, in *projectInput) (*projectOutput, error) {
	p, err := s.visibleProject(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	return s.showProject(ctx, p)
}

// showProject is projectOf with what the project takes.
func (s *service) showProject(ctx context.Context, p metadata.Project) (*projectOutput, error) {
	shown, err := projectOf(ctx, s.Authorizer.Allowed, p)
	if err != nil {
		return nil, err
	}
	used, err := s.Projects.Used(ctx, p.Name)
	shown.Used = &used
	return &projectOutput{Body: shown}, err
}

// visibleProject finds a project that the caller may see.
func (s *service) visibleProject(ctx context.Context, who caller, name string) (metadata.Project, error) {
	p, err := s.Projects.Get(ctx, name)
	visible := false
	if err == nil {
		visible, err = s.visible(ctx, who, p)
	}
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return metadata.Project{}, err
	}
	if !visible {
		return metadata.Project{}, s.projectUnknown(name)
	}
	return p, nil
}

func (*service) projectUnknown(name string) error {
	return problem(http.StatusNotFound, fmt.Sprintf("project %.255q does not exist, or you may not see it: larder get projects lists those that you may see", name))
}

func (s *service) visible(ctx context.Context, who caller, p metadata.Project) (bool, error) {
	return s.Authorizer.Allowed(ctx, who.Identity, authz.GetProject, projectTarget(p))
}

func projectOf(ctx context.Context, decide authz.Decide, p metadata.Project) (Project, error) {
	visibility, err := visibilityOf(ctx, decide, projectTarget(p))
	return Project{
		Name: p.Name, Kind: string(p.Kind), Description: p.Description, Creator: p.Creator, CreatedAt: p.CreatedAt.UTC(),
		Visibility: visibility, Quota: p.Quota, ImmutableTags: p.ImmutableTags,
	}, err
}

// Who can do something: those with a role, all who are logged in, everybody.
const (
	visiblePrivate  = "private"
	visibleLoggedIn = "logged in"
	visiblePublic   = "public"
)

// visibilityOf tells who can pull from target without having been given it by name.
func visibilityOf(ctx context.Context, decide authz.Decide, target authz.Target) (string, error) {
	for _, one := range []struct {
		text string
		id   authn.Identity
	}{
		{visiblePublic, authn.Anonymous()},
		{visibleLoggedIn, authn.AnyUser()},
	} {
		may, err := decide(ctx, one.id, authz.Pull, target)
		if err != nil {
			return "", err
		}
		if may {
			return one.text, nil
		}
	}
	return visiblePrivate, nil
}
