package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/fairshare"
	"github.com/larder-registry/larder/internal/imports"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/pullthrough"
	"github.com/larder-registry/larder/internal/rewriting"
	"github.com/larder-registry/larder/internal/telemetry"
	"github.com/larder-registry/larder/internal/upstream"
	"github.com/larder-registry/larder/internal/warm"
)

// Tuning replaces waiting times that are right for people and wrong for tests. Zero
// fields leave the defaults.
type Tuning struct {
	Cache    pullthrough.Limits
	Upstream upstream.Timeouts
	Backoff  func(failures int) time.Duration
	// ACMEPause is the pause before the second try to obtain a certificate.
	ACMEPause time.Duration
	Now       func() time.Time
	// Retention is how long after the start the rules of projects are first kept to.
	Retention time.Duration
	// WebhookPause is how long a delivery waits after so many attempts.
	WebhookPause func(attempts int) time.Duration
	// Running is how often it is looked what runs in the cluster.
	Running time.Duration
	// Watch is how often it is looked what upstreams have left.
	Watch time.Duration
	// Refresh is how often it is looked which tags are due to be refreshed.
	Refresh time.Duration
	// Imports is how often it is looked which imports are due.
	Imports time.Duration
	// Ready is how long the readiness check may take; 0: a second.
	Ready time.Duration
}

// generation is everything that one configuration makes: upstreams, caches, names
// and handlers. A reload puts a new one in its place; the old one ends when its
// last request has been answered.
type generation struct {
	main, mirror http.Handler
	metrics      http.Handler // on a listener of its own
	webhook      http.Handler
	hooks        hooking
	caches       []*pullthrough.Cache
	upstreams    []openUpstream
	sources      map[string]imports.Source // by the names of their registries
	warmer       *warm.Warmer
	running      *running
	requests     sync.WaitGroup
}

// openUpstream is an upstream as it is configured, and its client.
type openUpstream struct {
	Upstream
	remote *upstream.Registry
	gate   *fairshare.Gate // nil where pulls are not shared out
}

// newGeneration wires one configuration from top to bottom.
func (s *Server) newGeneration(ctx context.Context, config Config) (_ *generation, err error) {
	g := &generation{sources: map[string]imports.Source{}}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	names := newNames(s.floor.DB.Projects, s.floor.held)
	for _, u := range config.Upstreams {
		project, err := s.openCache(ctx, g, u)
		if err != nil {
			return nil, err
		}
		names.add(u, project)
	}
	if err := s.lender.give(ctx, g.upstreams); err != nil {
		return nil, err
	}
	if err := s.floor.roles.SetSelfProvision(ctx, config.Projects.SelfProvision); err != nil {
		return nil, err
	}
	atIssuer, err := s.floor.oidc(config.OIDC)
	if err != nil {
		return nil, err
	}
	clients := telemetry.NewClientAddress(config.TrustedProxies)
	limits := s.floor.limits.With(config.PullLimits.Rules)
	g.warmer = s.warmer(names)
	g.running = &running{server: s, of: rewriting.Of(nil, names.rules(config), config.Kubernetes.OptOut), find: g.warmer.Find}
	v2 := s.distributionConfig(config, names, clients, limits)
	registry := distribution.New(v2)
	administration := s.apiConfig(config, g, names, clients, limits)
	administration.OIDC = atIssuer
	g.hooks = newHooking(config, registry)
	webhook := s.webhook(config, names)
	page := &limitsPage{config: config.PullLimits, limits: limits, origin: origin(config, clients), clients: clients}
	main := s.routes(config, clients, handlers{
		images: registry, administration: api.New(administration), hub: s.hubAPI(names, registry), limits: page, webhook: webhook,
	})
	mirror := distribution.NewMirror(v2, distribution.Mirror{Namespace: hubRegistry, Allow: admitted(config, clients)})
	g.webhook = s.observed(clients, s.webhookRoutes(webhook))
	s.face(g, config, clients, main, withLimitsPage(mirror, page))
	return g, nil
}

// face puts what all requests of a listener pass first before its handler.
func (s *Server) face(g *generation, config Config, clients *telemetry.ClientAddress, main, mirror http.Handler) {
	limit := config.PullLimits.Overall
	g.main = s.overall.before(s.observed(clients, main), limit, clients, s.exempt)
	g.mirror = s.overall.before(s.observed(clients, mirror), limit, clients, nothing)
	g.metrics = s.overall.before(s.metricsRoutes(), limit, clients, nothing)
}

// openCache makes the cache project of one upstream.
func (s *Server) openCache(ctx context.Context, g *generation, u Upstream) (cacheProject, error) {
	tuning := s.options.Tuning
	credentials := make([]upstream.Credential, 0, len(u.Credentials))
	for _, c := range u.Credentials {
		credentials = append(credentials, upstream.Credential{Username: c.Username, Password: string(c.Password)})
	}
	opened := openUpstream{Upstream: u}
	var gate upstream.Gate
	if !u.Shares.Empty() || u.Refresh.Every > 0 {
		opened.gate = s.floor.shares.With(u.Name, u.Shares)
		gate = opened.gate
	}
	remote, err := upstream.New(upstream.Config{
		Name: u.Name, URL: u.URL, Hub: u.Hub(), Credentials: credentials, Realms: u.Realms, CAFile: u.CA,
		UserAgent: "larder/" + s.options.Version, Timeouts: tuning.Upstream, Now: tuning.Now, Report: s.floor.ledger.Book,
		Refused: func(c upstream.Credential, by string) { s.floor.recordRefusal(u.Name, c, by) },
		Gate:    gate,
	}, s.floor.upstreamMetrics, s.log)
	if err != nil {
		return cacheProject{}, fmt.Errorf("upstream %s: %w", u.Name, err)
	}
	opened.remote = remote
	g.upstreams = append(g.upstreams, opened)
	for _, host := range u.Registries {
		g.sources[strings.ToLower(host)] = imports.Source{
			Remote: remote, Project: u.Name, Allows: u.Allows,
			Owns:   func(project string) bool { return remote.OwnName(project) != "" },
			Shares: func(project string) bool { return slices.Contains(remote.Shares(), project) },
		}
	}
	project := metadata.Project{Name: u.Name, Kind: metadata.Cache, Description: "mirror of " + u.URL.Host, CreatedAt: time.Now()}
	err = s.floor.DB.Projects.Ensure(ctx, project)
	if errors.Is(err, metadata.ErrExists) {
		return cacheProject{}, fmt.Errorf("upstream %s: people push to a project of that name already: give the upstream another name", u.Name)
	}
	if err != nil {
		return cacheProject{}, fmt.Errorf("making the cache project of upstream %s: %w", u.Name, err)
	}
	now := tuning.Now
	if now == nil {
		now = time.Now
	}
	cache := pullthrough.New(pullthrough.Config{
		Project: u.Name, Upstream: remote, Title: title(u), TagTTL: u.TagTTL, Allows: u.Allows,
		Held: s.floor.held, DB: s.floor.DB, Changes: s.floor.DB.Changes, Fills: s.floor.fills, Metrics: s.floor.cacheMetrics,
		Log: s.log, Now: now, Limits: tuning.Cache,
	})
	g.caches = append(g.caches, cache)
	return cacheProject{cache: cache, hub: u.Hub()}, nil
}

func title(u Upstream) string {
	if u.Hub() {
		return "Docker Hub"
	}
	return u.URL.Host
}

// origin tells under which scheme and host the client reaches this server.
func origin(config Config, clients *telemetry.ClientAddress) func(*http.Request) (scheme, host string) {
	if u := config.PublicURL; u != nil {
		return func(*http.Request) (string, string) { return u.Scheme, u.Host }
	}
	return clients.Origin
}

// admitted tells who may use the mirror listener and pull from caches without a login.
func admitted(config Config, clients *telemetry.ClientAddress) func(*http.Request) bool {
	from := config.Mirror.From
	if len(from) == 0 {
		return func(*http.Request) bool { return true }
	}
	return func(r *http.Request) bool {
		address := clients.Of(r)
		return slices.ContainsFunc(from, func(p netip.Prefix) bool { return p.Contains(address) })
	}
}

// serve answers with the generation that is in force when the request arrives.
func (s *Server) serve(choose func(*generation) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := s.generation()
		defer g.requests.Done()
		choose(g).ServeHTTP(w, r)
	})
}

// generation is the one in force, which does not end before the request is done.
func (s *Server) generation() *generation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.current.requests.Add(1)
	return s.current
}

// close ends the checks and fetches under way.
func (g *generation) close() {
	g.requests.Wait()
	for _, c := range g.caches {
		c.Close()
	}
	for _, u := range g.upstreams {
		u.remote.Close()
	}
}
