// Package hubapi answers the read requests of Docker Hub's own API about repositories and
// tags, in Docker Hub's form, of what the caller may see here.
package hubapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/telemetry"
)

// See finds the repository that a name means and tells whether the caller may see it.
type See func(ctx context.Context, name string) (oci.Repository, bool, error)

// Repositories reads what is known of repositories.
type Repositories interface {
	Get(ctx context.Context, name string) (metadata.Repository, error)
	Entries(ctx context.Context, project, after string, limit int) ([]metadata.Repository, error)
	Search(ctx context.Context, text, after string, limit int) ([]metadata.Repository, error)
}

// Tags reads the tags of a repository.
type Tags interface {
	Entries(ctx context.Context, repository, after string, limit int) ([]metadata.Tag, error)
	Get(ctx context.Context, repository, name string) (metadata.Tag, error)
}

// Images tells of the images that tags name. Tags that have gone are left out.
type Images interface {
	DescribeTags(ctx context.Context, repo oci.Repository, tags []metadata.Tag) ([]registry.TagInfo, error)
}

// Config is what a Handler stands on.
type Config struct {
	// Viewer finds out who asks. The error is an *oci.Error when a credential is not good.
	Viewer func(w http.ResponseWriter, r *http.Request) (See, error)
	// Public tells what strangers may see.
	Public       See
	Repositories Repositories
	Tags         Tags
	Images       Images
	// Hub is the project that mirrors Docker Hub, whose namespaces are known by their own
	// names, too; "" for none.
	Hub string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log hears of faults; nil means slog.Default.
	Log *slog.Logger
}

// Handler answers below /v2/repositories/, /v2/namespaces/ and /v2/search/. It is safe for
// concurrent use.
type Handler struct{ Config }

// New makes a Handler.
func New(c Config) *Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Handler{c}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	telemetry.RecordOf(w).Route = "hub-api"
	answer, err := h.answer(w, r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, errMethod
	}
	where, err := parsePath(r.URL.EscapedPath())
	if err != nil {
		return nil, err
	}
	page, err := parsePage(r.URL)
	if err != nil {
		return nil, err
	}
	see, err := h.Viewer(w, r)
	if err != nil {
		return nil, err
	}
	q := request{Handler: h, see: see, where: where, page: page, query: r.URL.Query()}
	switch where.what {
	case aSearch:
		return q.search(r.Context())
	case aNamespace:
		return q.namespace(r.Context())
	case aRepository:
		return q.repository(r.Context())
	case itsTags:
		return q.tags(r.Context())
	default:
		return q.tag(r.Context())
	}
}
