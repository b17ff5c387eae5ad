package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/credentials"
	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Webhooks keeps the webhooks of projects.
type Webhooks interface {
	Get(ctx context.Context, project, name string) (metadata.Webhook, error)
	List(ctx context.Context, project string) ([]metadata.Webhook, error)
	Delete(ctx context.Context, project, name string) error
	Resume(ctx context.Context, project, name string) error
}

// WebhookCreator creates webhooks.
type WebhookCreator interface {
	Create(ctx context.Context, n events.NewWebhook) (secret string, err error)
}

// States of webhooks.
const (
	webhookOK       = "ok"
	webhookFailing  = "failing"
	webhookSetAside = "set aside"
)

// Webhook is a receiver that is told what happens in a project. Its secret is never told
// again.
type Webhook struct {
	Name       string     `json:"name"`
	Project    string     `json:"project"`
	Repository string     `json:"repository,omitempty" doc:"Without the project; absent for all of them"`
	URL        string     `json:"url"`
	Events     []string   `json:"events"`
	State      string     `json:"state" enum:"ok,failing,set aside" doc:"failing: the last deliveries were given up; set aside: nothing is delivered to it, nor kept for it, until it is resumed"`
	Reason     string     `json:"reason,omitempty" doc:"Why it is set aside"`
	SetAsideAt *time.Time `json:"setAsideAt,omitempty"`
	Waiting    int64      `json:"waiting" doc:"Deliveries that are to be tried"`
	Creator    string     `json:"creator"`
	CreatedAt  time.Time  `json:"createdAt"`
	Secret     string     `json:"secret,omitempty" doc:"Told once, when it was made by the registry"`
}

// WebhookRequest asks for a new webhook.
type WebhookRequest struct {
	Name       string   `json:"name" example:"ci"`
	Repository string   `json:"repository,omitempty" maxLength:"255" doc:"Without the project; absent for all of them"`
	URL        string   `json:"url" example:"https://ci.example.com/hook"`
	Events     []string `json:"events,omitempty" maxItems:"10" doc:"push and delete, or in a cache project pull-limit and fill-failed; all when there are none"`
	Secret     string   `json:"secret,omitempty" doc:"By which deliveries are signed, of 16 to 1024 bytes; it is made when there is none"`
}

// WebhookList is all webhooks of a project.
type WebhookList struct {
	Items []Webhook `json:"items"`
}

type listWebhooksInput struct {
	Credentials
	Project string `path:"project"`
}

type createWebhookInput struct {
	Credentials
	Project string `path:"project"`
	Body    WebhookRequest
}

type webhookInput struct {
	Credentials
	Project string `path:"project"`
	Name    string `path:"name"`
}

type (
	listWebhooksOutput struct{ Body WebhookList }
	webhookOutput      struct{ Body Webhook }
)

func (s *service) registerWebhooks(api huma.API) {
	const path = "/api/v1/projects/{project}/webhooks"
	tags := []string{"webhooks"}
	register(s, api, huma.Operation{
		OperationID: "list-webhooks", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List who is told what happens in a project", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.listWebhooks)
	register(s, api, huma.Operation{
		OperationID: "create-webhook", Method: http.MethodPost, Path: path, Tags: tags,
		Summary: "Have a receiver told what happens in a project", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.createWebhook)
	register(s, api, huma.Operation{
		OperationID: "get-webhook", Method: http.MethodGet, Path: path + "/{name}", Tags: tags,
		Summary: "Read a webhook", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.getWebhook)
	register(s, api, huma.Operation{
		OperationID: "delete-webhook", Method: http.MethodDelete, Path: path + "/{name}", Tags: tags,
		Summary: "Remove a webhook with its deliveries", DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.deleteWebhook)
	register(s, api, huma.Operation{
		OperationID: "resume-webhook", Method: http.MethodPost, Path: path + "/{name}/resume", Tags: tags,
		Summary: "Deliver again to a webhook that was set aside, and what waits for it at once", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.resumeWebhook)
}

func (s *service) listWebhooks(ctx context.Context, who caller, in *listWebhooksInput) (*listWebhooksOutput, error) {
	if err := s.mayIn(ctx, who, in.Project, authz.ListWebhooks); err != nil {
		return nil, err
	}
	all, err := s.Webhooks.List(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	out := &listWebhooksOutput{Body: WebhookList{Items: []Webhook{}}}
	for _, w := range all {
		out.Body.Items = append(out.Body.Items, webhookShown(w))
	}
	return out, nil
}

func (s *service) createWebhook(ctx context.Context, who caller, in *createWebhookInput) (*webhookOutput, error) {
	p, err := s.visibleProject(ctx, who, in.Project)
	if err != nil {
		return nil, err
	}
	if err := s.permit(ctx, who, authz.CreateWebhook, projectTarget(p)); err != nil {
		return nil, err
	}
	asked := events.NewWebhook{Project: p, Name: in.Body.Name, URL: in.Body.URL, Events: in.Body.Events, Secret: in.Body.Secret, Creator: who.User}
	if in.Body.Repository != "" {
		repo, err := oci.ParseRepository(p.Name + "/" + in.Body.Repository)
		if err != nil {
			return nil, problem(http.StatusBadRequest, err.Error())
		}
		asked.Repository = repo.String()
	}
	secret, err := s.WebhookCreator.Create(ctx, asked)
	if err != nil {
		return nil, webhookProblem(err, in.Body.Name, p.Name)
	}
	w, err := s.findWebhook(ctx, p.Name, in.Body.Name)
	if err != nil {
		return nil, err
	}
	out := &webhookOutput{Body: webhookShown(w)}
	out.Body.Secret = secret
	return out, nil
}

func webhookProblem(err error, name, project string) error {
	if invalid, ok := errors.AsType[*events.InvalidError](err); ok {
		return problem(http.StatusBadRequest, "the webhook was not created: "+invalid.Reason)
	}
	switch {
	case errors.Is(err, metadata.ErrExists):
		return problem(http.StatusConflict, fmt.Sprintf("webhook %s was not created: project %s has one of that name; delete it first, or choose another name", name, project))
	case errors.Is(err, metadata.ErrTooMany):
		return problem(http.StatusConflict, fmt.Sprintf("webhook %s was not created: project %s has %d already, which is the most: delete one with larder delete webhook", name, project, events.MostWebhooks))
	case errors.Is(err, credentials.ErrNoKey):
		return problem(http.StatusConflict, fmt.Sprintf("webhook %s was not created, since there is no key to encrypt its secret by: several servers may share this database, so give all of them one key, in the environment variable LARDER_CREDENTIAL_KEY or as credentialKeyFile, and start them again", name))
	}
	return err
}

// findWebhook finds one of a project that the caller may see.
func (s *service) findWebhook(ctx context.Context, project, name string) (metadata.Webhook, error) {
	w, err := s.Webhooks.Get(ctx, project, name)
	if errors.Is(err, metadata.ErrNotFound) {
		return w, noWebhook(project, name)
	}
	return w, err
}

func noWebhook(project, name string) error {
	return problem(http.StatusNotFound, fmt.Sprintf("project %s has no webhook %.100q: larder get webhooks -n %s shows those that there are", project, name, project))
}

func (s *service) getWebhook(ctx context.Context, who caller, in *webhookInput) (*webhookOutput, error) {
	if err := s.mayIn(ctx, who, in.Project, authz.GetWebhook); err != nil {
		return nil, err
	}
	w, err := s.findWebhook(ctx, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{Body: webhookShown(w)}, nil
}

func (s *service) deleteWebhook(ctx context.Context, who caller, in *webhookInput) (*struct{}, error) {
	if err := s.mayIn(ctx, who, in.Project, authz.DeleteWebhook); err != nil {
		return nil, err
	}
	err := s.Webhooks.Delete(ctx, in.Project, in.Name)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, noWebhook(in.Project, in.Name)
	}
	return nil, err
}

func (s *service) resumeWebhook(ctx context.Context, who caller, in *webhookInput) (*webhookOutput, error) {
	if err := s.mayIn(ctx, who, in.Project, authz.UpdateWebhook); err != nil {
		return nil, err
	}
	err := s.Webhooks.Resume(ctx, in.Project, in.Name)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, noWebhook(in.Project, in.Name)
	}
	if err != nil {
		return nil, err
	}
	w, err := s.findWebhook(ctx, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	return &webhookOutput{Body: webhookShown(w)}, nil
}

func webhookShown(w metadata.Webhook) Webhook {
	shown := Webhook{
		Name: w.Name, Project: w.Project, Repository: strings.TrimPrefix(w.Repository, w.Project+"/"), URL: w.URL, Events: w.Events,
		State: webhookOK, Reason: w.Reason, SetAsideAt: known(w.SetAsideAt), Waiting: w.Waiting, Creator: w.Creator, CreatedAt: w.CreatedAt,
	}
	switch {
	case !w.SetAsideAt.IsZero():
		shown.State = webhookSetAside
	case w.Failures > 0:
		shown.State = webhookFailing
	}
	return shown
}
