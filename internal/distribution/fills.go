package distribution

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/telemetry"
)

const (
	// FillsPath is where replicas follow each other's transfers; a digest comes after it.
	FillsPath = "/internal/fills/"
	// maxFollowers bounds how many transfers other replicas follow at once.
	maxFollowers = 512
)

// FillsConfig is what the handler for other replicas stands on.
type FillsConfig struct {
	// Follow opens a blob that this replica receives from an upstream, for as long as ctx
	// lasts.
	Follow func(ctx context.Context, d digest.Digest) (oci.Blob, error)
	// Verify tells whether a request is signed by another replica.
	Verify func(ctx context.Context, r authn.ReplicaRequest, authorization string) error
	Log    *slog.Logger
}

// Fills answers other replicas that follow a transfer: GET with an optional Range. To
// all others, and for what is not being transferred, it is a 404 that tells nothing. It
// is for the main listener only.
type Fills struct {
	FillsConfig
	turns chan struct{}
}

// NewFills makes the handler for FillsPath.
func NewFills(c FillsConfig) *Fills {
	return &Fills{FillsConfig: c, turns: make(chan struct{}, maxFollowers)}
}

// ServeHTTP sends what has been received of a blob and goes on as more comes. A transfer
// that fails, or brings the wrong bytes, aborts the connection.
func (h *Fills) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, ok := h.wants(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	default:
		http.Error(w, "too many replicas follow transfers", http.StatusServiceUnavailable)
		return
	}
	blob, err := h.Follow(r.Context(), d)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer func() { _ = blob.Close() }()
	paced := newPacedWriter(w, defaultStall, time.Now)
	defer paced.finish()
	describeContent(w.Header(), mediaTypeBlob, d)
	if err := sendWithheld(r.Context(), paced, r, blob); err != nil {
		telemetry.RecordOf(w).Cause = err
		panic(http.ErrAbortHandler)
	}
}

// wants tells which blob another replica asks for.
func (h *Fills) wants(r *http.Request) (digest.Digest, bool) {
	asked := authn.ReplicaRequest{Method: r.Method, Path: r.URL.Path, Range: r.Header.Get("Range")}
	err := h.Verify(r.Context(), asked, r.Header.Get("Authorization"))
	if err != nil {
		if !errors.Is(err, authn.ErrTokenInvalid) && !errors.Is(err, authn.ErrTokenExpired) {
			h.Log.Error("whether a request is another replica's could not be found out", "error", err)
		}
		return "", false
	}
	d, err := oci.ParseDigest(strings.TrimPrefix(r.URL.Path, FillsPath))
	return d, err == nil && r.Method == http.MethodGet
}
