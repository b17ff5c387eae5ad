package distribution

import (
	"context"
	"net/http"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/oci"
)

// Viewer finds out who asks, for what stands beside the protocol and shows the same
// repositories. See finds the one that a name means and tells whether the caller may see
// it, for one request: authz.ErrSpent says that it has asked too much of a cluster. The
// errors are *oci.Error otherwise.
func (h *Handler) Viewer(w http.ResponseWriter, r *http.Request) (see func(ctx context.Context, name string) (oci.Repository, bool, error), err error) {
	// The writer is for the log alone: nothing is written.
	x := &exchange{w: &pacedWriter{ResponseWriter: w}, r: r, address: h.Address(r)}
	if x.who, err = h.identify(r.Context(), x); err != nil {
		return nil, h.note(x, err)
	}
	return h.seeAs(x), nil
}

// Public is See for strangers, wherever they are.
func (h *Handler) Public(ctx context.Context, name string) (oci.Repository, bool, error) {
	anyone := *h
	anyone.Strangers = nil
	return anyone.seeAs(&exchange{who: credentials{identity: authn.Anonymous()}})(ctx, name)
}

func (h *Handler) seeAs(x *exchange) func(ctx context.Context, name string) (oci.Repository, bool, error) {
	decide := h.Authorizer.ForMany()
	return func(ctx context.Context, name string) (oci.Repository, bool, error) {
		target, may, err := h.listed(ctx, x, decide, name)
		return target.Repository, may, err
	}
}
