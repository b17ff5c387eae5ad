package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
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

// Deliveries tells what webhooks were told.
type Deliveries interface {
	Deliveries(ctx context.Context, q metadata.DeliveryQuery) ([]metadata.Delivery, error)
	Delivery(ctx context.Context, project string, id int64) (metadata.Delivery, error)
	Redeliver(ctx context.Context, project string, id int64) error
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

// States of deliveries.
const (
	deliveryWaiting   = "waiting"
	deliveryDelivered = "delivered"
	deliveryGivenUp   = "given up"
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

// Delivery is an event on its way to a webhook, or what came of it.
type Delivery struct {
	ID          int64      `json:"id"`
	Webhook     string     `json:"webhook"`
	Event       string     `json:"event"`
	Repository  string     `json:"repository,omitempty" doc:"With its project"`
	Tag         string     `json:"tag,omitempty"`
	Digest      string     `json:"digest,omitempty"`
	Actor       string     `json:"actor,omitempty"`
	Detail      string     `json:"detail,omitempty"`
	At          time.Time  `json:"at"`
	State       string     `json:"state" enum:"waiting,delivered,given up"`
	NextAt      *time.Time `json:"nextAt,omitempty" doc:"When it is tried next; absent before the first attempt, which is made at once"`
	Attempts    int        `json:"attempts"`
	AttemptedAt *time.Time `json:"attemptedAt,omitempty" doc:"When it was tried last"`
	Status      int        `json:"status,omitempty" doc:"Of the receiver's last answer"`
	Took        string     `json:"took,omitempty" doc:"How long the last attempt took"`
	Message     string     `json:"message,omitempty" doc:"What went wrong at the last attempt"`
}

// DeliveryList is one page of deliveries, the newest first.
type DeliveryList struct {
	Items []Delivery `json:"items"`
	Next  string     `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
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

type listDeliveriesInput struct {
	Credentials
	Project string `path:"project"`
	Webhook string `query:"webhook" doc:"Only those to one webhook"`
	After   string `query:"after" pattern:"^[0-9]{1,18}$" doc:"The next of the page before"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type deliveryInput struct {
	Credentials
	Project string `path:"project"`
	ID      int64  `path:"id" minimum:"1"`
}

type (
	listWebhooksOutput   struct{ Body WebhookList }
	webhookOutput        struct{ Body Webhook }
	listDeliveriesOutput struct{ Body DeliveryList }
	deliveryOutput       struct{ Body Delivery }
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

func (s *service) registerDeliveries(api huma.API) {
	const path = "/api/v1/projects/{project}/deliveries"
	tags := []string{"webhooks"}
	register(s, api, huma.Operation{
		OperationID: "list-deliveries", Method: http.MethodGet, Path: path, Tags: tags,
		Summary:     "Tell what webhooks were told, or are to be",
		Description: "The last 1,000 deliveries of each webhook are kept, for 30 days.",
		Errors:      []int{http.StatusForbidden, http.StatusNotFound},
	}, s.listDeliveries)
	register(s, api, huma.Operation{
		OperationID: "redeliver", Method: http.MethodPost, Path: path + "/{id}/redeliver", Tags: tags,
		Summary: "Deliver once more, at once", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.redeliver)
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

func (s *service) listDeliveries(ctx context.Context, who caller, in *listDeliveriesInput) (*listDeliveriesOutput, error) {
	if err := s.mayIn(ctx, who, in.Project, authz.GetWebhook); err != nil {
		return nil, err
	}
	if in.Webhook != "" {
		if _, err := s.findWebhook(ctx, in.Project, in.Webhook); err != nil {
			return nil, err
		}
	}
	q := metadata.DeliveryQuery{Project: in.Project, Webhook: in.Webhook, Limit: in.Limit + 1}
	q.Before, _ = strconv.ParseInt(in.After, 10, 64) // zero begins with the newest
	all, err := s.Deliveries.Deliveries(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &listDeliveriesOutput{Body: DeliveryList{Items: []Delivery{}}}
	all, out.Body.Next = paged(all, in.Limit, func(d metadata.Delivery) string { return strconv.FormatInt(d.ID, 10) })
	for _, d := range all {
		out.Body.Items = append(out.Body.Items, deliveryShown(d))
	}
	return out, nil
}

func (s *service) redeliver(ctx context.Context, who caller, in *deliveryInput) (*deliveryOutput, error) {
	if err := s.mayIn(ctx, who, in.Project, authz.UpdateWebhook); err != nil {
		return nil, err
	}
	err := s.Deliveries.Redeliver(ctx, in.Project, in.ID)
	var d metadata.Delivery
	if err == nil {
		d, err = s.Deliveries.Delivery(ctx, in.Project, in.ID)
	}
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("project %s has no delivery %d, or has it no longer: larder get deliveries -n %s shows those that there are", in.Project, in.ID, in.Project))
	}
	if err != nil {
		return nil, err
	}
	return &deliveryOutput{Body: deliveryShown(d)}, nil
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

func deliveryShown(d metadata.Delivery) Delivery {
	shown := Delivery{
		ID: d.ID, Webhook: d.Webhook.Name, Event: d.Kind, Repository: d.Repository, Tag: d.Tag, Digest: d.Digest.String(), Actor: d.Actor, Detail: d.Detail, At: d.At,
		State: deliveryGivenUp, Attempts: d.Attempts, AttemptedAt: known(d.AttemptedAt), Status: d.Status, Message: d.Message,
	}
	if d.Attempts > 0 {
		shown.Took, shown.NextAt = d.Took.Round(time.Millisecond).String(), known(d.NextAt)
	}
	switch {
	case !d.NextAt.IsZero():
		shown.State = deliveryWaiting
	case d.Delivered:
		shown.State = deliveryDelivered
	}
	return shown
}
