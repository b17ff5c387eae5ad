package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/metadata"
)

// Events is the audit log.
type Events interface {
	Record(ctx context.Context, e events.Event)
	List(ctx context.Context, q metadata.AuditQuery) ([]metadata.AuditEntry, error)
}

// Event is something that somebody did or was refused.
type Event struct {
	At      time.Time `json:"at"`
	Actor   string    `json:"actor,omitempty" doc:"Absent for a stranger"`
	Address string    `json:"address,omitempty" doc:"The client's"`
	Action  string    `json:"action" doc:"The operation of this API, or push, delete, login, warn-budget for a pull limit that runs low, refuse-credential for one that an upstream does not take, or set-aside-webhook for one that fails too often"`
	Project string    `json:"project,omitempty"`
	Object  string    `json:"object,omitempty"`
	Result  string    `json:"result" enum:"done,refused,failed"`
	Detail  string    `json:"detail,omitempty"`
}

// EventList is one page of events, the newest first.
type EventList struct {
	Items []Event `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type listEventsInput struct {
	Credentials
	Project string    `query:"project" doc:"Only those of one project"`
	Since   time.Time `query:"since" doc:"None that are older"`
	After   string    `query:"after" pattern:"^[0-9]{1,18}$" doc:"The next of the page before"`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type listEventsOutput struct{ Body EventList }

func (s *service) registerEvents(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/api/v1/events", Tags: []string{"events"},
		Summary: "Tell who did what, and what was refused", Errors: []int{http.StatusForbidden, http.StatusNotFound},
		Description: "Changes, pushes, deletions and refused logins are kept for 90 days.",
	}, s.listEvents)
}

func (s *service) listEvents(ctx context.Context, who caller, in *listEventsInput) (*listEventsOutput, error) {
	target := authz.Target{}
	if in.Project != "" {
		p, err := s.visibleProject(ctx, who, in.Project)
		if err != nil {
			return nil, err
		}
		target = projectTarget(p)
	}
	if err := s.permit(ctx, who, authz.ListEvents, target); err != nil {
		return nil, err
	}
	q := metadata.AuditQuery{Project: in.Project, Since: in.Since, Limit: in.Limit + 1}
	q.Before, _ = strconv.ParseInt(in.After, 10, 64) // zero begins with the newest
	all, err := s.Events.List(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &listEventsOutput{Body: EventList{Items: []Event{}}}
	all, out.Body.Next = paged(all, in.Limit, func(e metadata.AuditEntry) string { return strconv.FormatInt(e.ID, 10) })
	for _, e := range all {
		out.Body.Items = append(out.Body.Items, Event{
			At: e.At, Actor: e.Actor, Address: e.Address, Action: e.Action,
			Project: e.Project, Object: e.Object, Result: e.Result, Detail: e.Detail,
		})
	}
	return out, nil
}

// record writes to the audit log how an operation went that changes something, or that a
// login was refused. A request without a credential is no event.
func (s *service) record(ctx context.Context, op huma.Operation, shown *Credentials, who caller, err error) {
	event := events.Event{
		Actor: who.User, Action: op.OperationID, Project: shown.project, Object: shown.object,
		Address: s.Address(shown.request).String(),
	}
	if who.User == "" {
		if shown.Authorization == "" {
			return
		}
		event.Action, event.Project, event.Object = "login", "", ""
	} else if op.Method == http.MethodGet || op.Metadata[readOnly] != nil {
		return
	}
	s.write(ctx, event, err)
}

// write completes an event with how it ended, and writes it to the audit log.
func (s *service) write(ctx context.Context, event events.Event, err error) {
	if s.Events == nil {
		return
	}
	event.Result = events.Done
	if err != nil {
		event.Result, event.Detail = events.Failed, "the server's log tells more"
		if p, ok := errors.AsType[huma.StatusError](err); ok && p.GetStatus() < http.StatusInternalServerError {
			event.Result, event.Detail = events.Refused, p.Error()
		}
	}
	s.Events.Record(ctx, event)
}

// readOnly marks operations that change nothing though their method is not GET.
const readOnly = "read-only"

// subject finds in the path of a request what it is about.
func subject(r *http.Request) (project, object string) {
	object, _ = strings.CutPrefix(r.URL.Path, prefix+"v1/")
	rest, ofProject := strings.CutPrefix(object, "projects/")
	if !ofProject {
		return "", object
	}
	project, _, _ = strings.Cut(rest, "/")
	return project, rest
}
