package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// Deliveries tells what webhooks were told.
type Deliveries interface {
	Deliveries(ctx context.Context, q metadata.DeliveryQuery) ([]metadata.Delivery, error)
	Delivery(ctx context.Context, project string, id int64) (metadata.Delivery, error)
	Redeliver(ctx context.Context, project string, id int64) error
}

// States of deliveries.
const (
	deliveryWaiting   = "waiting"
	deliveryDelivered = "delivered"
	deliveryGivenUp   = "given up"
)

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
	listDeliveriesOutput struct{ Body DeliveryList }
	deliveryOutput       struct{ Body Delivery }
)

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
