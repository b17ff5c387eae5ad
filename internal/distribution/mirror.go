package distribution

import (
	"net/http"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/oci"
)

// Mirror is what the listener for Docker's registry-mirrors needs beyond a Config.
type Mirror struct {
	// Namespace is the registry whose names are meant where a request has no ns
	// parameter, such as docker.io.
	Namespace string
	// Allow tells whether the client's address may use the listener; nil means all.
	Allow func(*http.Request) bool
}

// NewMirror makes the handler of the mirror listener: names are an upstream's own,
// callers are strangers whatever they show, nothing is ever challenged, and nothing
// can be written. Config's Authenticator is not used.
func NewMirror(c Config, m Mirror) *Handler {
	h := &Handler{Config: c.withDefaults(), mirror: &m, preview: newPreview()}
	h.actions = map[endpoint]map[string]action{
		endpointBase: reading("", h.base),
		endpointManifest: {
			http.MethodGet:  {authn.ActionPull, h.getManifest},
			http.MethodHead: {authn.ActionPull, h.headManifest},
		},
		endpointBlob: {
			http.MethodGet:  {authn.ActionPull, h.getBlob},
			http.MethodHead: {authn.ActionPull, h.headBlob},
		},
		endpointTags:      reading(authn.ActionPull, h.tags),
		endpointReferrers: reading(authn.ActionPull, h.referrers),
	}
	return h
}

// admits tells whether the client may use this listener at all.
func (h *Handler) admits(r *http.Request) error {
	if h.mirror == nil || h.mirror.Allow == nil || h.mirror.Allow(r) {
		return nil
	}
	return &oci.Error{Code: oci.CodeDenied, Message: "this mirror does not serve your address: its operator can add it to mirror.from"}
}

// hidden makes what needs a login look like what does not exist: clients of a mirror
// then ask the registry itself.
func (x *exchange) hidden(refusal *oci.Error) *oci.Error {
	if refusal.Code != oci.CodeUnauthorized {
		return refusal
	}
	unknown := *refusal
	unknown.Message = "this mirror does not have " + x.route.name + ", or it is not shown to strangers"
	switch x.route.endpoint {
	case endpointManifest:
		unknown.Code = oci.CodeManifestUnknown
	case endpointBlob:
		unknown.Code = oci.CodeBlobUnknown
	default:
		unknown.Code = oci.CodeNameUnknown
	}
	return &unknown
}
