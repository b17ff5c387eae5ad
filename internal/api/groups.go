package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// Groups reads the groups.
type Groups interface {
	Get(ctx context.Context, name string) (metadata.Group, error)
	List(ctx context.Context, after string, limit int) ([]metadata.Group, error)
}

// Group is a name for several users.
type Group struct {
	Name      string    `json:"name"`
	Members   []string  `json:"members,omitempty" doc:"Told of one group, not in lists"`
	Creator   string    `json:"creator,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
}

// GroupRequest asks for a new group.
type GroupRequest struct {
	Name    string   `json:"name" example:"devs"`
	Members []string `json:"members,omitempty" maxItems:"1000"`
}

// GroupList is one page of groups, ordered by name.
type GroupList struct {
	Items []Group `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type groupInput struct {
	Credentials
	Name string `path:"name"`
}

type memberInput struct {
	Credentials
	Name string `path:"name"`
	User string `path:"user"`
}

type createGroupInput struct {
	Credentials
	Body GroupRequest
}

type groupOutput struct{ Body Group }

type listGroupsOutput struct{ Body GroupList }

func (s *service) registerGroups(api huma.API) {
	const path = "/api/v1/groups"
	tags := []string{"groups"}
	register(s, api, huma.Operation{
		OperationID: "list-groups", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List the groups", Errors: []int{http.StatusForbidden},
	}, s.listGroups)
	register(s, api, huma.Operation{
		OperationID: "create-group", Method: http.MethodPost, Path: path, Tags: tags,
		Summary: "Make a group", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.createGroup)
	register(s, api, huma.Operation{
		OperationID: "get-group", Method: http.MethodGet, Path: path + "/{name}", Tags: tags,
		Summary: "Read a group and its members", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.getGroup)
	register(s, api, huma.Operation{
		OperationID: "delete-group", Method: http.MethodDelete, Path: path + "/{name}", Tags: tags,
		Summary: "Remove a group; its members stay", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.deleteGroup)
	register(s, api, huma.Operation{
		OperationID: "add-group-member", Method: http.MethodPut, Path: path + "/{name}/members/{user}", Tags: tags,
		Summary: "Put a user into a group", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.addMember)
	register(s, api, huma.Operation{
		OperationID: "remove-group-member", Method: http.MethodDelete, Path: path + "/{name}/members/{user}", Tags: tags,
		Summary: "Take a user out of a group", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.removeMember)
}

func (s *service) listGroups(ctx context.Context, who caller, in *pageInput) (*listGroupsOutput, error) {
	if err := s.permit(ctx, who, authz.ListGroups, authz.Target{}); err != nil {
		return nil, err
	}
	page, err := s.Groups.List(ctx, in.After, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listGroupsOutput{Body: GroupList{Items: []Group{}}}
	page, out.Body.Next = paged(page, in.Limit, func(g metadata.Group) string { return g.Name })
	for _, g := range page {
		out.Body.Items = append(out.Body.Items, groupOf(g))
	}
	return out, nil
}

// createGroup looks for the members first, so that no group is made with a part of them.
func (s *service) createGroup(ctx context.Context, who caller, in *createGroupInput) (*groupOutput, error) {
	if err := s.permit(ctx, who, authz.CreateGroup, authz.Target{}); err != nil {
		return nil, err
	}
	for _, member := range in.Body.Members {
		if _, err := s.Users.Get(ctx, member); err != nil {
			return nil, accountProblem(err, "user", member)
		}
	}
	if err := s.Accounts.CreateGroup(ctx, in.Body.Name, who.User); err != nil {
		return nil, accountProblem(err, "group", in.Body.Name)
	}
	for _, member := range in.Body.Members {
		if err := s.Accounts.AddMember(ctx, in.Body.Name, member); err != nil {
			return nil, accountProblem(err, "user", member)
		}
	}
	return s.group(ctx, in.Body.Name)
}

func (s *service) getGroup(ctx context.Context, who caller, in *groupInput) (*groupOutput, error) {
	if err := s.permit(ctx, who, authz.GetGroup, authz.Target{}); err != nil {
		return nil, err
	}
	return s.group(ctx, in.Name)
}

func (s *service) group(ctx context.Context, name string) (*groupOutput, error) {
	g, err := s.Groups.Get(ctx, name)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("group %.130q does not exist: larder get groups lists those that there are", name))
	}
	if err != nil {
		return nil, err
	}
	return &groupOutput{Body: groupOf(g)}, nil
}

func (s *service) deleteGroup(ctx context.Context, who caller, in *groupInput) (*struct{}, error) {
	if err := s.permit(ctx, who, authz.DeleteGroup, authz.Target{}); err != nil {
		return nil, err
	}
	return nil, accountProblem(s.Accounts.DeleteGroup(ctx, in.Name), "group", in.Name)
}

func (s *service) addMember(ctx context.Context, who caller, in *memberInput) (*struct{}, error) {
	if err := s.permit(ctx, who, authz.UpdateGroup, authz.Target{}); err != nil {
		return nil, err
	}
	err := s.Accounts.AddMember(ctx, in.Name, in.User)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("user %.130q was not added to group %.130q: one of them does not exist; larder get users and larder get groups list them", in.User, in.Name))
	}
	return nil, err
}

func (s *service) removeMember(ctx context.Context, who caller, in *memberInput) (*struct{}, error) {
	if err := s.permit(ctx, who, authz.UpdateGroup, authz.Target{}); err != nil {
		return nil, err
	}
	err := s.Accounts.RemoveMember(ctx, in.Name, in.User)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("user %.130q is not a member of group %.130q", in.User, in.Name))
	}
	return nil, err
}

func groupOf(g metadata.Group) Group {
	return Group{Name: g.Name, Members: g.Members, Creator: g.Creator, CreatedAt: g.CreatedAt.UTC()}
}
