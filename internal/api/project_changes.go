package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// ProjectChange says what is to be changed of a project; what is absent stays.
type ProjectChange struct {
	Description   *string   `json:"description,omitempty" maxLength:"1000" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text"`
	Quota         *int64    `json:"quota,omitempty" minimum:"0" maximum:"1152921504606846976" doc:"How many bytes the project's blobs may take; 0 for no limit"`
	ImmutableTags *[]string `json:"immutableTags,omitempty" maxItems:"100" example:"[\"v*\"]" doc:"Patterns of tags that are set once and then stay: * stands for any characters, ? for one, [a-z] for one of those"`
}

type changeProjectInput struct {
	Credentials
	Name string `path:"name"`
	Body ProjectChange
}

func (s *service) registerProjectChanges(api huma.API) {
	const path = "/api/v1/projects/{name}"
	tags := []string{"projects"}
	register(s, api, huma.Operation{
		OperationID: "change-project", Method: http.MethodPatch, Path: path, Tags: tags,
		Summary: "Change a project's description, quota or immutable tags",
		Errors:  []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound},
	}, s.changeProject)
	register(s, api, huma.Operation{
		OperationID: "delete-project", Method: http.MethodDelete, Path: path, Tags: tags,
		Summary:     "Delete a project with everything that is in it",
		Description: "Its repositories, service accounts, roles and role bindings go with it. The project of an upstream that is configured cannot be deleted.",
		Errors:      []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict}, DefaultStatus: http.StatusNoContent,
	}, s.deleteProject)
}

func (s *service) changeProject(ctx context.Context, who caller, in *changeProjectInput) (*projectOutput, error) {
	p, err := s.visibleProject(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	if err := s.permit(ctx, who, authz.UpdateProject, projectTarget(p)); err != nil {
		return nil, err
	}
	if err := in.Body.apply(&p); err != nil {
		return nil, problem(http.StatusBadRequest, fmt.Sprintf("project %s was not changed: %v", p.Name, err))
	}
	if err := s.Projects.Update(ctx, p); err != nil {
		return nil, err
	}
	return s.showProject(ctx, p)
}

// apply checks a change and makes it.
func (c ProjectChange) apply(p *metadata.Project) error {
	limits := c.Quota != nil && *c.Quota > 0 || c.ImmutableTags != nil && len(*c.ImmutableTags) > 0
	if p.Kind == metadata.Cache && limits {
		return errors.New("it mirrors an upstream, so it has no quota and no immutable tags; cacheSize in the server's configuration bounds all caches together")
	}
	if c.Description != nil {
		p.Description = *c.Description
	}
	if c.Quota != nil {
		p.Quota = *c.Quota
	}
	if c.ImmutableTags != nil {
		p.ImmutableTags = *c.ImmutableTags
		return oci.TagPatterns(p.ImmutableTags).Check("immutableTags")
	}
	return nil
}

func (s *service) deleteProject(ctx context.Context, who caller, in *projectInput) (*struct{}, error) {
	p, err := s.visibleProject(ctx, who, in.Name)
	if err != nil {
		return nil, err
	}
	if err := s.permit(ctx, who, authz.DeleteProject, projectTarget(p)); err != nil {
		return nil, err
	}
	err = s.Images.DeleteProject(ctx, p.Name)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, s.projectUnknown(in.Name)
	}
	return nil, err
}
