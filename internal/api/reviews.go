package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// impersonate is the right to ask what others may do anywhere.
const impersonate authz.Action = "impersonate users"

// AccessReviewRequest asks whether somebody may do something.
type AccessReviewRequest struct {
	Verb     string   `json:"verb" minLength:"1" pattern:"^[^ ]+$" patternDescription:"one word" example:"get"`
	Resource string   `json:"resource" minLength:"1" pattern:"^[^ ]+$" patternDescription:"one word" example:"imagestreams/layers"`
	Project  string   `json:"project,omitempty" doc:"Absent: in all projects"`
	Name     string   `json:"name,omitempty" doc:"A repository without the project; absent: all"`
	User     string   `json:"user,omitempty" doc:"Absent: the caller"`
	Groups   []string `json:"groups,omitempty" doc:"Further groups that the user is taken to be in" maxItems:"100"`
}

// AccessReview tells whether somebody may do something, and why.
type AccessReview struct {
	Allowed bool     `json:"allowed"`
	Reasons []string `json:"reasons" doc:"The bindings that allow it; otherwise what was found instead"`
	Command string   `json:"command,omitempty" doc:"The line by which an owner allows it; absent when it is allowed"`
}

// Holder is a user or a group that may do something.
type Holder struct {
	Kind   string `json:"kind" enum:"User,Group"`
	Name   string `json:"name"`
	Reason string `json:"reason" doc:"The binding that allows it"`
	// Names narrow it down.
	Names []string `json:"names,omitempty" doc:"The only images, or other objects, that it is for; absent: all. Given when no name was asked for"`
}

// HolderList is all who may do something.
type HolderList struct {
	Items []Holder `json:"items"`
}

// Exposed is something that everybody, or everybody who is logged in, can reach.
type Exposed struct {
	Project      string   `json:"project"`
	Repositories []string `json:"repositories,omitempty" doc:"Without the project; absent: all"`
	To           string   `json:"to" enum:"everybody,logged-in"`
	Actions      []string `json:"actions"`
	Reason       string   `json:"reason" doc:"The binding that opens it"`
}

// ExposureList is what is exposed of one page of projects, ordered by project.
type ExposureList struct {
	Items []Exposed `json:"items"`
	Next  string    `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type accessReviewInput struct {
	Credentials
	Body AccessReviewRequest
}

type accessReviewOutput struct{ Body AccessReview }

type whoCanInput struct {
	Credentials
	Project  string `path:"project"`
	Verb     string `query:"verb" required:"true"`
	Resource string `query:"resource" required:"true"`
	Name     string `query:"name" doc:"A repository without the project"`
}

type whoCanOutput struct{ Body HolderList }

type exposureOutput struct{ Body ExposureList }

func (s *service) registerReviews(api huma.API) {
	tags := []string{"access"}
	failures := []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound}
	register(s, api, huma.Operation{
		OperationID: "review-access", Method: http.MethodPost, Path: "/api/v1/accessreviews", Tags: tags,
		Metadata: map[string]any{readOnly: true},
		Summary:  "Tell whether somebody may do something, and why", Errors: failures,
	}, s.reviewAccess)
	register(s, api, huma.Operation{
		OperationID: "who-can", Method: http.MethodGet, Path: "/api/v1/projects/{project}/who-can", Tags: tags,
		Summary: "List who may do something in a project", Errors: failures,
	}, s.whoCan)
	register(s, api, huma.Operation{
		OperationID: "exposure", Method: http.MethodGet, Path: "/api/v1/exposure", Tags: tags,
		Summary: "List what everybody, or everybody who is logged in, can reach, in the projects that the caller may ask about", Errors: failures,
	}, s.exposure)
}

func (s *service) reviewAccess(ctx context.Context, who caller, in *accessReviewInput) (*accessReviewOutput, error) {
	target, err := s.reviewed(ctx, in.Body.Project, in.Body.Name, in.Body.Resource)
	if err != nil {
		return nil, err
	}
	id := who.Identity
	if in.Body.User != "" || len(in.Body.Groups) > 0 {
		if err := s.mayAskFor(ctx, who, target); err != nil {
			return nil, err
		}
		if id, err = s.identityOf(ctx, in.Body.User, in.Body.Groups); err != nil {
			return nil, err
		}
	}
	_, resource := authz.ParseResource(in.Body.Resource)
	action := authz.Action(in.Body.Verb + " " + resource)
	if s.Roles == nil {
		return s.reviewByCluster(ctx, id, action, target)
	}
	return &accessReviewOutput{Body: s.explained(id, action, target, s.Roles.Explain(ctx, id, action, target))}, nil
}

// reviewByCluster tells what a cluster says: which binding it is that allows something only
// the cluster knows.
func (s *service) reviewByCluster(ctx context.Context, id authn.Identity, action authz.Action, target authz.Target) (*accessReviewOutput, error) {
	allowed, reason, err := s.Cluster.Explain(ctx, id, action, target)
	if err != nil {
		return nil, err
	}
	out := &accessReviewOutput{Body: AccessReview{Allowed: allowed, Reasons: []string{reason}}}
	if !allowed {
		out.Body.Command = s.Cluster.GrantCommand(id.User, action, target)
	}
	return out, nil
}

// reviewed is what a review is about. Whether there is such a project is not told.
func (s *service) reviewed(ctx context.Context, project, name, resource string) (authz.Target, error) {
	target := authz.Target{Project: project}
	if project == "" {
		return target, nil
	}
	p, err := s.Projects.Get(ctx, project)
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return target, err
	}
	target.Kind = p.Kind
	_, resource = authz.ParseResource(resource)
	images := []string{"imagestreams", "imagestreams/layers", "imagestreamtags", "imagestreamimports"}
	switch {
	case name != "" && slices.Contains(images, resource):
		target.Repository = project + "/" + name
	case name != "":
		target.Name = name
	}
	return target, nil
}

// mayAskFor lets in who may ask what others may do: anywhere, or in one project.
func (s *service) mayAskFor(ctx context.Context, who caller, target authz.Target) error {
	anywhere, err := s.Authorizer.Allowed(ctx, who.Identity, impersonate, authz.Target{})
	if err != nil || anywhere {
		return err
	}
	if target.Project == "" {
		return s.refused(who, impersonate, authz.Target{})
	}
	return s.mayIn(ctx, who, target.Project, authz.ReviewSubject)
}

// identityOf is who somebody would be when logged in, or a stranger.
func (s *service) identityOf(ctx context.Context, user string, groups []string) (authn.Identity, error) {
	id := authn.Anonymous()
	if user != "" && user != authn.UserAnonymous {
		u, err := s.Users.Get(ctx, user)
		if err != nil && !errors.Is(err, metadata.ErrNotFound) {
			return id, err
		}
		if err != nil {
			u = metadata.User{Name: user}
			u.Project, _, _ = authn.ParseServiceAccount(user)
		}
		id = authn.IdentityOf(u, s.Now())
	} else if len(groups) > 0 {
		id = authn.Identity{User: "somebody in " + groups[0]}
	}
	id.Groups = append(id.Groups, groups...)
	return id, nil
}

func (s *service) explained(id authn.Identity, action authz.Action, target authz.Target, e authz.Explanation) AccessReview {
	review := AccessReview{Allowed: e.Allowed, Reasons: []string{}}
	for _, b := range e.By {
		review.Reasons = append(review.Reasons, b.Reason())
	}
	if e.Allowed {
		return review
	}
	if e.Capped && len(e.By) > 0 {
		review.Reasons = append(review.Reasons, "the access token that is shown is limited, and does not allow it")
		return review
	}
	review.Reasons = append(review.Reasons, fmt.Sprintf("no binding gives %s the right to %s on %s", id.User, action, target))
	for _, b := range e.Others {
		review.Reasons = append(review.Reasons, b.Reason()+", which does not have it")
	}
	review.Command = s.Roles.GrantCommand(id.User, action, target)
	return review
}

func (s *service) whoCan(ctx context.Context, who caller, in *whoCanInput) (*whoCanOutput, error) {
	if err := s.keptByCluster(whereBindingsAre(in.Project) + ", and larder auth can-i --as asks for one user"); err != nil {
		return nil, err
	}
	if err := s.mayAt(ctx, who, in.Project, authz.ReviewResource); err != nil {
		return nil, err
	}
	target, err := s.reviewed(ctx, in.Project, in.Name, in.Resource)
	if err != nil {
		return nil, err
	}
	_, resource := authz.ParseResource(in.Resource)
	out := &whoCanOutput{Body: HolderList{Items: []Holder{}}}
	for _, h := range s.Roles.WhoCan(ctx, authz.Action(in.Verb+" "+resource), target) {
		kind := "User"
		if h.Subject.Group {
			kind = "Group"
		}
		out.Body.Items = append(out.Body.Items, Holder{Kind: kind, Name: h.Subject.Name, Reason: h.By.Reason(), Names: h.Names})
	}
	return out, nil
}

func (s *service) exposure(ctx context.Context, who caller, in *pageInput) (*exposureOutput, error) {
	if err := s.keptByCluster("larder auth can-i get imagestreams/layers --as system:anonymous -n PROJECT asks for one project"); err != nil {
		return nil, err
	}
	out := &exposureOutput{Body: ExposureList{Items: []Exposed{}}}
	next, err := s.projectPage(ctx, in.Page, func(p metadata.Project) (bool, error) {
		may, err := s.Authorizer.Allowed(ctx, who.Identity, authz.ReviewResource, projectTarget(p))
		if err != nil || !may {
			return false, err
		}
		for _, e := range s.Roles.Exposure(ctx, p.Name, p.Kind) {
			out.Body.Items = append(out.Body.Items, exposedOf(e))
		}
		return true, nil
	})
	out.Body.Next = next
	return out, err
}

func exposedOf(e authz.Exposed) Exposed {
	out := Exposed{Project: e.Project, Repositories: e.Repositories, To: "logged-in", Actions: []string{}, Reason: e.By.Reason()}
	if e.Anonymous {
		out.To = "everybody"
	}
	for _, a := range e.Actions {
		out.Actions = append(out.Actions, string(a))
	}
	return out
}
