package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/larder-registry/larder/internal/admission"
	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/hubapi"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/telemetry"
)

// readyWithin is how long the readiness check may take.
const readyWithin = time.Second

func newMetrics() *prometheus.Registry {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return metrics
}

// observed wraps a handler in the one middleware that feeds logs and metrics.
func (s *Server) observed(clients *telemetry.ClientAddress, next http.Handler) http.Handler {
	return telemetry.Middleware(s.log, s.requests, clients, next)
}

// handlers are those of the main listener that one configuration makes.
type handlers struct {
	images, administration, hub, limits, webhook http.Handler
}

// routes lays out the main listener.
func (s *Server) routes(config Config, clients *telemetry.ClientAddress, made handlers) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", made.administration)
	mux.HandleFunc("GET /healthz", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	if config.Metrics.Listen == "" {
		mux.Handle("GET /metrics", s.measured(clients, s.metricsHandler()))
	}
	if s.floor.replicas != nil {
		mux.Handle(distribution.FillsPath, distribution.NewFills(distribution.FillsConfig{
			Follow: s.floor.fills.Follow, Verify: s.floor.who.VerifyReplica, Log: s.log,
		}))
	}
	mux.Handle("GET "+distribution.LimitsPath, made.limits)
	mux.Handle(admission.Path, made.webhook)
	mux.HandleFunc("GET /{$}", front)
	return beside(made.images, made.hub, mux)
}

// beside sends the registry its paths as they came: a ServeMux would clean and
// redirect them. Those of Docker Hub's API stand in the place of projects that nobody can
// have.
func beside(images, hub, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.ContainsFunc(hubapi.Prefixes(), func(prefix string) bool { return strings.HasPrefix(r.URL.Path, prefix) }) {
			hub.ServeHTTP(w, r)
			return
		}
		if path := r.URL.Path; path == "/token" || path == "/v2" || strings.HasPrefix(path, "/v2/") || strings.HasPrefix(path, "/v1/") {
			images.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// withLimitsPage lays out the mirror listener.
func withLimitsPage(mirror, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == distribution.LimitsPath && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			page.ServeHTTP(w, r)
			return
		}
		mirror.ServeHTTP(w, r)
	})
}

// metricsRoutes lays out the listener for metrics.
func (s *Server) metricsRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metricsHandler())
	return mux
}

// webhookRoutes lays out the listener for the API server of a cluster.
func (s *Server) webhookRoutes(webhook http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(admission.Path, webhook)
	mux.HandleFunc("GET /healthz", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	return mux
}

func (s *Server) metricsHandler() http.Handler {
	return promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{Registry: s.metrics})
}

// live tells that the process answers.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") }

// ready tells whether a pull would work: a small stored image is read back, also where
// copies of hot blobs would be served without the storage. Upstreams never count, because
// what is held is served without them.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), s.options.Tuning.Ready)
	defer cancel()
	err := s.probe(ctx)
	switch {
	case err == nil:
		say(w, http.StatusOK, "ok\n")
		return
	case errors.Is(err, registry.ErrNoMetadata):
		say(w, http.StatusServiceUnavailable, "the database could not be read; the log says why\n")
	default:
		say(w, http.StatusServiceUnavailable, "a stored image could not be read back from the storage of blobs; the log says why\n")
	}
	telemetry.RecordOf(w).Cause = err
}

// probe gives up on storage that hangs, which no context can interrupt: the reading
// goes on by itself, and until it ends no other is begun.
func (s *Server) probe(ctx context.Context) error {
	select {
	case s.probing <- struct{}{}:
	case <-ctx.Done():
		return errors.New("the readiness check before this one still waits for storage")
	}
	read := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, s.options.Tuning.Ready*9/10) // so that it ends first, and says why
		defer cancel()
		read <- s.floor.held.Probe(ctx)
		<-s.probing
	}()
	select {
	case err := <-read:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// measured lets in who may read the metrics.
func (s *Server) measured(clients *telemetry.ClientAddress, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := authn.BasicAuth(r)
		identity, _, err := s.floor.asks.Basic(r.Context(), user, password, clients.Of(r))
		tries, tooMany := errors.AsType[*authn.AttemptsError](err)
		may := false
		if err == nil {
			may, err = s.floor.may.Allowed(r.Context(), identity, authz.Metrics, authz.Target{})
		}
		switch {
		case errors.Is(err, authn.ErrInvalidCredentials):
			w.Header().Set("WWW-Authenticate", `Basic realm="larder"`)
			say(w, http.StatusUnauthorized, "log in as a user who may read the metrics, or set metrics.listen to an address of its own\n")
		case tooMany:
			w.Header().Set("Retry-After", strconv.Itoa(tries.Seconds()))
			say(w, http.StatusTooManyRequests, tries.Error()+"\n")
		case err != nil:
			telemetry.RecordOf(w).Cause = err
			say(w, http.StatusServiceUnavailable, "who asks, or whether they may, could not be found out; the log says why\n")
		case !may:
			say(w, http.StatusForbidden, fmt.Sprintf("%s has no right to %s in all projects\n", identity.User, authz.Metrics))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// front greets whoever opens the address in a browser.
func front(w http.ResponseWriter, _ *http.Request) {
	say(w, http.StatusOK, "This is Larder, an image registry and Docker Hub cache.\n\n"+
		"Pull Docker Hub's nginx through it: docker pull HOST/docker-hub/library/nginx\n"+
		"The administration API is described at /api/openapi.json, limits of pulls at /limits\n")
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
