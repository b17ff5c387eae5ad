package distribution

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/failures"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pulllimit"
)

// Failures keeps what caches refuse and serve stale.
type Failures interface {
	// Note returns the id by which it can be looked up, "" when it is not kept. It waits
	// for nothing.
	Note(f metadata.Failure) string
}

// explained adds to the refusal of a read from a cache, by which name it can be looked up
// what happened. Requests that are wrong in themselves explain themselves, and so does a
// right that is missing, which is decided before.
func (h *Handler) explained(x *exchange, refusal *oci.Error, cause error) *oci.Error {
	status := statusOf(refusal)
	_, convertible := errors.AsType[*oci.Schema1Error](cause) // the text ends with a line to type
	if !h.keepsFailure(x) || !worthExplaining(status) || convertible {
		return refusal
	}
	f := h.failure(x, cause)
	f.Code, f.Status, f.Message = string(refusal.Code), status, refusal.Message
	hint := toExplain(h.Failures.Note(f))
	if hint == "" {
		return refusal
	}
	x.w.Header().Set("Warning", warning(hint)) // whoever sends HEAD sees no text
	shown := *refusal
	shown.Message = strings.TrimSuffix(shown.Message, ".") + ". " + hint
	return &shown
}

// tell says how the answer was come by. What is served stale, of the digest where it has
// one, can be looked up too.
func (h *Handler) tell(x *exchange, served oci.Served, d digest.Digest) {
	if served.Cause != nil && h.keepsFailure(x) {
		f := h.failure(x, served.Cause)
		f.Message, f.Digest, f.Age = served.Warning, d.String(), served.Age
		if hint := toExplain(h.Failures.Note(f)); hint != "" {
			served.Warning += ". " + hint
		}
	}
	x.tell(served)
}

func toExplain(id string) string {
	if id == "" {
		return ""
	}
	return "To see what happened: larder explain " + id
}

// keepsFailure tells whether the request reads from a cache, and the caller may.
func (h *Handler) keepsFailure(x *exchange) bool {
	reads := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
	return h.Failures != nil && x.admitted && reads && x.target.Kind == metadata.Cache
}

func worthExplaining(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

// failure is what is known of a request that failed, but for what came of it.
func (h *Handler) failure(x *exchange, cause error) metadata.Failure {
	f := failures.Caused(cause)
	if _, ok := errors.AsType[*pulllimit.ReachedError](cause); ok {
		f.Rule = string(oci.RulePullLimit)
	}
	f.Repository, f.Asked = x.target.Repository.String(), x.route.name
	if x.target.Namespace != "" {
		f.Asked = x.target.Namespace + "/" + x.route.name
	}
	f.Kind, f.Reference = string(x.route.endpoint), cmp.Or(x.route.reference.String(), x.route.digest.String())
	f.User, f.Client = h.caller(x).User, x.address.String()
	return f
}
