package distribution

import (
	"context"
	"errors"
	"net/http"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pulllimit"
)

// Recorder keeps what was changed and what was refused.
type Recorder interface {
	Record(ctx context.Context, e events.Event)
}

// record writes to the audit log how a push of a manifest or a deletion went, and that a
// login was refused. Blobs are part of a push; what nobody may see is in no log.
func (h *Handler) record(ctx context.Context, x *exchange, err error) {
	if h.Events == nil {
		return
	}
	if reached, ok := errors.AsType[*pulllimit.ReachedError](err); ok {
		h.recordReached(ctx, x, reached)
		return
	}
	event := events.Event{Actor: x.who.identity.User, Result: events.Done}
	switch refused := refusedLogin(err); {
	case refused:
		event.Actor, event.Action = "", "login"
	case x.who.identity.User == "" || x.who.identity.Anonymous():
		return
	case x.route.endpoint == endpointManifest && x.r.Method == http.MethodPut:
		event.Action = authn.ActionPush
	case x.r.Method == http.MethodDelete && (x.route.endpoint == endpointManifest || x.route.endpoint == endpointBlob):
		event.Action = authn.ActionDelete
	default:
		return
	}
	if event.Action != "login" {
		event.Project, event.Object = x.target.Repository.Project(), x.subject()
	}
	if err != nil {
		event.Result, event.Detail = events.Failed, "the server's log tells more"
		if refusal, ok := errors.AsType[*oci.Error](err); ok && statusOf(refusal) < http.StatusInternalServerError {
			event.Result, event.Detail = events.Refused, refusal.Message
		}
		if event.Action == "login" {
			event.Result, event.Detail = events.Refused, ""
		}
	}
	event.Address = x.address.String()
	h.Events.Record(ctx, event)
}

// refusedLogin tells whether a credential was shown that is not good. One that has only
// expired is no event: clients ask for the next.
func refusedLogin(err error) bool {
	return errors.Is(err, authn.ErrInvalidCredentials) || errors.Is(err, authn.ErrTokenInvalid)
}

// subject is what a request is about.
func (x *exchange) subject() string {
	name := x.target.Repository.String()
	switch {
	case x.route.digest != "":
		return name + "@" + x.route.digest.String()
	case x.route.reference.ByTag():
		return name + ":" + x.route.reference.Tag
	}
	return name + "@" + x.route.reference.Digest.String()
}
