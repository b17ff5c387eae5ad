package hubsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// apiError is one error of OCI Distribution 1.1, §Error Codes.
type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// resource is Docker Hub's detail of a refusal, with its odd capitals.
type resource struct {
	Type, Class, Name, Action string
}

func writeError(w http.ResponseWriter, status int, e apiError) {
	writeJSON(w, status, map[string][]apiError{"errors": {e}})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	// What this package writes always marshals.
	_ = encoder.Encode(value)
	writeBody(w, status, "application/json", bytes.TrimRight(body.Bytes(), "\n"))
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A client that has gone cannot be told.
	_, _ = w.Write(body)
}

// challenge answers 401 with a Bearer challenge (RFC 6750, §3).
func (h *Hub) challenge(w http.ResponseWriter, t target, problem error) {
	value := fmt.Sprintf(`Bearer realm="%s/token",service="%s"`, h.AuthURL(), h.serviceName())
	refusal := apiError{Code: "UNAUTHORIZED", Message: "authentication required"}
	if name := t.repository(); name != "" {
		value += fmt.Sprintf(`,scope="repository:%s:pull"`, name)
		refusal.Detail = []resource{{Type: "repository", Name: name, Action: "pull"}}
	}
	switch {
	case errors.Is(problem, errExpiredToken), errors.Is(problem, errBadToken):
		value += `,error="invalid_token"`
	case !errors.Is(problem, errNoToken):
		value += `,error="insufficient_scope"`
	}
	w.Header().Set("WWW-Authenticate", value)
	writeError(w, http.StatusUnauthorized, refusal)
}

func (h *Hub) serviceName() string {
	if h.options.Shape == DockerHub {
		return "registry.docker.io"
	}
	_, host, _ := strings.Cut(h.registry.url, "://")
	return host
}

func writeUnknown(w http.ResponseWriter, t target) {
	switch t.path {
	case ManifestPath:
		writeError(w, http.StatusNotFound, apiError{
			Code: "MANIFEST_UNKNOWN", Message: "manifest unknown", Detail: map[string]string{"Tag": t.reference},
		})
	case BlobPath:
		writeError(w, http.StatusNotFound, apiError{
			Code: "BLOB_UNKNOWN", Message: "blob unknown to registry", Detail: t.reference,
		})
	case TagsPath, ReferrersPath:
		writeError(w, http.StatusNotFound, apiError{
			Code: "NAME_UNKNOWN", Message: "repository name not known to registry",
			Detail: map[string]string{"name": t.repository()},
		})
	default:
		writeBody(w, http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found\n"))
	}
}
