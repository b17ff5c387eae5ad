package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/telemetry"
)

// errorList is the body of every error (OCI Distribution 1.1, §Error Codes). Docker's
// token client shows details and not errors.
type errorList struct {
	Errors  []errorEntry `json:"errors"`
	Details string       `json:"details,omitempty"`
	Message string       `json:"message,omitempty"` // of a limit, as Docker Hub has it too
}

type errorEntry struct {
	Code    oci.Code `json:"code"`
	Message string   `json:"message"`
	Detail  any      `json:"detail,omitempty"`
}

// fail answers a request that could not be served. Nothing has been sent yet.
func (h *Handler) fail(x *exchange, err error) {
	refusal := h.note(x, err)
	if errors.Is(err, context.Canceled) && x.r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client has gone: nobody reads an answer
	}
	if h.mirror != nil {
		refusal = x.hidden(refusal)
	}
	refusal = h.explained(x, h.pointToPage(x, refusal), err)
	header := x.w.Header()
	for _, name := range []string{"Content-Length", "ETag", "Docker-Content-Digest"} {
		header.Del(name)
	}
	if refusal.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(refusal.RetryAfter.Seconds()))))
	}
	status := statusOf(refusal)
	if status == http.StatusUnauthorized {
		h.challenge(x, refusal.Message)
	}
	list := errorList{Errors: []errorEntry{{refusal.Code, refusal.Message, refusal.Detail}}, Message: asDockerHub(refusal)}
	if x.r.URL.Path == tokenPath {
		list.Details = refusal.Message
	}
	if err := writeJSON(x.w, status, list); err != nil {
		h.Log.Debug("an error was not delivered", "error", err)
	}
}

// note puts what went wrong into the request's log line, and finds the answer in the
// error. A fault of Larder's own is not explained to clients.
func (h *Handler) note(x *exchange, err error) *oci.Error {
	refusal, ok := errors.AsType[*oci.Error](err)
	if !ok {
		refusal = internalError(err)
	}
	record := telemetry.RecordOf(x.w)
	record.ErrorCode, record.Cause = string(refusal.Code), err
	return refusal
}

func internalError(err error) *oci.Error {
	if undecided, ok := errors.AsType[*authz.UndecidedError](err); ok {
		return &oci.Error{Code: oci.CodeUnavailable, Message: undecided.Public(), Err: err}
	}
	if unknown, ok := errors.AsType[*authn.UnknownError](err); ok {
		return &oci.Error{Code: oci.CodeUnavailable, Message: unknown.Public(), Err: err}
	}
	if explained := storageError(err); explained != nil {
		return explained
	}
	if tries, ok := errors.AsType[*authn.AttemptsError](err); ok {
		return &oci.Error{Code: oci.CodeTooManyRequests, Message: tries.Error(), RetryAfter: tries.RetryAfter, Err: err}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &oci.Error{Code: oci.CodeUnavailable, Message: "the registry could not answer in time: try again", Err: err}
	case errors.Is(err, authn.ErrTokenExpired), errors.Is(err, authn.ErrTokenInvalid), errors.Is(err, authn.ErrInvalidCredentials):
		return &oci.Error{Code: oci.CodeUnauthorized, Message: err.Error(), Err: err}
	}
	return &oci.Error{Code: oci.CodeUnknown, Message: "the registry failed while it answered this request: its log tells why", Err: err}
}

// statusOf is the only place that knows which status an error has.
func statusOf(e *oci.Error) int {
	if errors.Is(e.Err, registry.ErrUploadBusy) {
		return http.StatusConflict
	}
	switch e.Code {
	case oci.CodeUnauthorized:
		return http.StatusUnauthorized
	case oci.CodeDenied:
		return http.StatusForbidden
	case oci.CodeBlobUnknown, oci.CodeBlobUploadUnknown, oci.CodeManifestUnknown, oci.CodeNameUnknown:
		return http.StatusNotFound
	case oci.CodeUnsupported:
		return http.StatusMethodNotAllowed
	case oci.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case oci.CodeRangeInvalid:
		return http.StatusRequestedRangeNotSatisfiable
	case oci.CodeTooManyRequests:
		return http.StatusTooManyRequests
	case oci.CodeUpstreamInvalid:
		return http.StatusBadGateway
	case oci.CodeUpstreamDown, oci.CodeUnavailable:
		return http.StatusServiceUnavailable
	case oci.CodeUpstreamTimeout:
		return http.StatusGatewayTimeout
	case oci.CodeInsufficientSpace:
		return http.StatusInsufficientStorage
	case oci.CodeUnknown, "":
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// loginNeeded is answered with a challenge.
func loginNeeded(format string, args ...any) error {
	return &oci.Error{Code: oci.CodeUnauthorized, Message: fmt.Sprintf(format, args...)}
}

// allowed lists methods for the Allow header.
func allowed(methods map[string]action) string {
	names := make([]string, 0, len(methods))
	for name := range methods {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// writeJSON answers with v; the server leaves the body out for HEAD.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	writeBody(w, status, "application/json", body)
	return nil
}

func writeBody(w http.ResponseWriter, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone is no fault
}

// accepted answers a deletion.
func accepted(x *exchange) {
	x.w.Header().Set("Content-Length", "0")
	x.w.WriteHeader(http.StatusAccepted)
}

// recordRoute names the endpoint in the request's log line and metrics.
func recordRoute(x *exchange) { telemetry.RecordOf(x.w).Route = string(x.route.endpoint) }
