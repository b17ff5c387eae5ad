package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/oci"
)

// challenge tells clients how to log in (RFC 9110, §11.6.1).
const challenge = `Basic realm="Larder", charset="UTF-8", Bearer realm="Larder"`

// problem is the form of all errors of this API (RFC 9457). The detail says what
// was asked, what happened and what to do next.
func problem(status int, detail string) *huma.ErrorModel {
	return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail}
}

// answer turns the error of an operation into the one that the client gets.
func (s *service) answer(ctx context.Context, operation string, err error) error {
	if p, ok := errors.AsType[*huma.ErrorModel](err); ok {
		return p
	}
	if refusal, ok := errors.AsType[*oci.Error](err); ok && refusal.Code != oci.CodeUnknown {
		return problem(statusOf(refusal.Code), refusal.Message)
	}
	if undecided, ok := errors.AsType[*authz.UndecidedError](err); ok {
		s.Log.WarnContext(ctx, "a right could not be decided", "operation", operation, "error", err)
		return problem(http.StatusServiceUnavailable, undecided.Public())
	}
	if tries, ok := errors.AsType[*authn.AttemptsError](err); ok {
		return huma.ErrorWithHeaders(problem(http.StatusTooManyRequests, tries.Error()), http.Header{"Retry-After": {strconv.Itoa(tries.Seconds())}})
	}
	if unknown, ok := errors.AsType[*authn.UnknownError](err); ok {
		s.Log.WarnContext(ctx, "a caller could not be found out", "operation", operation, "error", err)
		return problem(http.StatusServiceUnavailable, unknown.Public())
	}
	switch {
	case errors.Is(err, errNoCredentials):
		return unauthorized("nobody is logged in, and this needs a login: run larder login URL -u NAME, or send a user name and a password (Basic) or an access token (Bearer)")
	case errors.Is(err, authn.ErrInvalidCredentials):
		return unauthorized("the login was refused: " + authn.ErrInvalidCredentials.Error() + "; try again, or ask an administrator for a new password")
	case errors.Is(err, authn.ErrTokenExpired):
		return unauthorized("the access token has expired: log in again with larder login")
	case errors.Is(err, authn.ErrTokenInvalid):
		return unauthorized("the access token is not known here or was revoked: log in again with larder login")
	case ctx.Err() != nil:
		return problem(http.StatusServiceUnavailable, "the request was given up before it was answered: try again")
	}
	return s.fault(ctx, operation, err)
}

// statusOf is the status of a refusal of what is below this API.
func statusOf(code oci.Code) int {
	switch code {
	case oci.CodeDenied:
		return http.StatusForbidden
	case oci.CodeNameUnknown, oci.CodeManifestUnknown, oci.CodeBlobUnknown:
		return http.StatusNotFound
	case oci.CodeManifestBlobUnknown, oci.CodeUnsupported:
		return http.StatusConflict
	case oci.CodeInsufficientSpace:
		return http.StatusInsufficientStorage
	case oci.CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// fault logs what the client is not told.
func (s *service) fault(ctx context.Context, operation string, err error) *huma.ErrorModel {
	s.Log.ErrorContext(ctx, "an API request failed", "operation", operation, "error", err)
	return problem(http.StatusInternalServerError, "the request failed for a reason that lies in the registry: try again; the registry's log tells its administrator more")
}

func unauthorized(detail string) error {
	return huma.ErrorWithHeaders(problem(http.StatusUnauthorized, detail), http.Header{"WWW-Authenticate": {challenge}})
}

// explainInvalid gives a text of ours to requests that are not as described.
func explainInvalid(_ huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*huma.ErrorModel)
	if ok && p.Status == http.StatusRequestEntityTooLarge {
		p.Detail = fmt.Sprintf("the body of the request has more than %d bytes, the limit: send less at once", maxBody)
	}
	if !ok || len(p.Errors) == 0 {
		return v, nil
	}
	p.Detail = "the request is not as " + openAPIPath + " describes it: see errors for what to change"
	return p, nil
}

// unknownPath answers requests that no operation is for.
func unknownPath(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		allowed := allowedMethods(mux, r)
		if len(allowed) == 0 {
			writeProblem(w, problem(http.StatusNotFound, "there is nothing at this path: "+openAPIPath+" lists what there is"))
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, problem(http.StatusMethodNotAllowed, "this path does not know the method "+r.Method+": use "+strings.Join(allowed, " or ")))
	}
}

// allowedMethods asks the router which methods it knows at r's path.
func allowedMethods(mux *http.ServeMux, r *http.Request) []string {
	methods := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	return slices.DeleteFunc(methods, func(method string) bool {
		_, pattern := mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host})
		return pattern == prefix || pattern == ""
	})
}

func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
