package hubsim

import (
	"errors"
	"net/http"
	"slices"
)

func (h *Hub) serveRegistry(w http.ResponseWriter, r *http.Request, t target, c caller) {
	if t.path == TokenPath {
		h.serveAuth(w, r, t, c)
		return
	}
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if t.path == unknownPath {
		writeUnknown(w, t)
		return
	}
	if c.problem != nil {
		h.challenge(w, t, c.problem)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, apiError{
			Code: "UNSUPPORTED", Message: "this simulated registry serves reads only",
		})
		return
	}
	if t.path == BasePath {
		writeJSON(w, http.StatusOK, struct{}{})
		return
	}
	if !h.authorize(w, t, c) {
		return
	}
	switch t.path {
	case ManifestPath:
		h.serveManifest(w, r, t, c)
	case BlobPath:
		h.serveBlob(w, r, t)
	case TagsPath:
		h.serveTags(w, r, t)
	case ReferrersPath:
		h.serveReferrers(w, r, t)
	default:
		writeUnknown(w, t)
	}
}

// authorize lets through whom both the token and the repository's present
// visibility allow, and answers everybody else.
func (h *Hub) authorize(w http.ResponseWriter, t target, c caller) bool {
	name := t.repository()
	problem := h.mayPull(c.account, name)
	if problem == nil && slices.Contains(c.token.Repositories, name) {
		return true
	}
	switch {
	case h.options.Shape == DockerHub || problem == nil:
		h.challenge(w, t, problem)
	case errors.Is(problem, errRepositoryMissing):
		writeError(w, http.StatusNotFound, apiError{
			Code: "NAME_UNKNOWN", Message: "repository name not known to registry",
			Detail: map[string]string{"name": name},
		})
	default:
		writeError(w, http.StatusForbidden, apiError{
			Code: "DENIED", Message: "requested access to the resource is denied",
		})
	}
	return false
}
