package hubapi

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/telemetry"
)

// failure is an answer in Docker Hub's form of errors, which has two names for the text.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

var (
	errNotFound = &failure{http.StatusNotFound, "object not found: there is no such repository or tag, or you may not see it"}
	errMethod   = &failure{http.StatusMethodNotAllowed, "these paths can be read only: change repositories with larder, or by /api/v1 (see /api/docs)"}
)

func notFoundOr(err error) error {
	if errors.Is(err, metadata.ErrNotFound) {
		return errNotFound
	}
	return err
}

// fail answers a request that could not be served.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	record := telemetry.RecordOf(w)
	record.Cause = err
	answer, ok := errors.AsType[*failure](err)
	if refusal, known := errors.AsType[*oci.Error](err); known && !ok {
		answer, ok = refused(w, refusal), true
	}
	if !ok {
		h.Log.ErrorContext(r.Context(), "a request of Docker Hub's API failed", "path", r.URL.Path, "error", err)
		answer = &failure{http.StatusInternalServerError, "the registry failed while it answered this request: its log tells why"}
	}
	if answer.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", "GET, HEAD")
	}
	writeJSON(w, answer.status, map[string]string{"message": answer.text, "detail": answer.text})
}

// refused gives an error about the caller the status that it has here.
func refused(w http.ResponseWriter, e *oci.Error) *failure {
	status := http.StatusServiceUnavailable
	switch e.Code {
	case oci.CodeUnauthorized:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="larder"`)
	case oci.CodeTooManyRequests:
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	case oci.CodeNameInvalid, oci.CodeNameUnknown, oci.CodeTagInvalid:
		return errNotFound
	}
	return &failure{status, e.Message}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who has gone needs no answer
}
