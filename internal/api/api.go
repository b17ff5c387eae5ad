// Package api serves /api/v1, the administration of the registry, and
// /api/openapi.json, its description made from the Go types here (OpenAPI 3.1), and
// /api/docs, the same for people.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/telemetry"
	"github.com/larder-registry/larder/internal/warm"
)

const (
	prefix      = "/api/"
	openAPIPath = "/api/openapi.json"
	// maxBody bounds what a request may hold, in bytes.
	maxBody = 64 << 10
)

// Authenticator tells who a caller is, and keeps the access tokens.
type Authenticator interface {
	Basic(ctx context.Context, user, password string, from netip.Addr) (authn.Identity, authn.Credential, error)
	AccessToken(ctx context.Context, secret string) (authn.Identity, authn.Credential, error)
	CreateToken(ctx context.Context, n authn.NewToken) (string, metadata.Token, error)
	RevokeToken(ctx context.Context, id string) error
	CIToken(ctx context.Context, token string) (authn.Identity, authn.Credential, error)
	SetPassword(ctx context.Context, user, password string) (made string, err error)
}

// Authorizer tells what a caller may do.
type Authorizer interface {
	Allowed(ctx context.Context, id authn.Identity, action authz.Action, target authz.Target) (bool, error)
	// ForMany decides for a request that asks about many things. Its error is
	// authz.ErrSpent when these are too many.
	ForMany() authz.Decide
	// GrantCommand is the line that gives user the right to do action on target; "" where
	// there is none to give.
	GrantCommand(user string, action authz.Action, target authz.Target) string
}

// ProjectMaker makes projects.
type ProjectMaker interface {
	// MakeProject makes a project that id owns. The error wraps metadata.ErrExists when
	// there is one of that name.
	MakeProject(ctx context.Context, id authn.Identity, p metadata.Project) error
}

// Projects keeps the projects.
type Projects interface {
	Get(ctx context.Context, name string) (metadata.Project, error)
	List(ctx context.Context, after string, limit int) ([]metadata.Project, error)
	Update(ctx context.Context, p metadata.Project) error
	Used(ctx context.Context, name string) (bytes int64, err error)
}

// Checker verifies what is kept.
type Checker interface {
	Fsck(ctx context.Context, c registry.Fsck) error
}

// Config is what the API stands on. Now may be nil, and Log too.
type Config struct {
	Authenticator Authenticator
	Authorizer    Authorizer
	Cursors       Cursors
	Projects      Projects
	Repositories  Repositories
	Images        Images
	// Shows tells whether a repository of a cache is not one that only other projects' own
	// credentials can read; nil where there are none.
	Shows     func(ctx context.Context, id authn.Identity, repo oci.Repository) (bool, error)
	Histories Histories
	Stars     Stars
	Pins      Pins
	Pulled    Pulled
	// Warmer fetches images, and tells what is missing of them.
	Warmer *warm.Warmer
	// Events may be nil: then nothing is recorded.
	Events Events
	// Ledger tells what upstreams were asked for and have left.
	Ledger Ledger
	// UpstreamCredentials are those that upstreams are asked with.
	UpstreamCredentials UpstreamCredentials
	// Webhooks are told what happens, Deliveries are how they were.
	Webhooks       Webhooks
	Deliveries     Deliveries
	WebhookCreator WebhookCreator
	// Failures tells what caches refused or served stale.
	Failures     Failures
	ProjectMaker ProjectMaker
	// Roles keeps who may do what; nil where Cluster decides it.
	Roles    *authz.Authorizer
	Cluster  *authz.Cluster
	Users    Users
	Groups   Groups
	Tokens   Tokens
	Accounts *authn.Accounts
	// OIDC logs people in at an issuer; nil where there is none.
	OIDC OIDC
	// Origin is the registry's own scheme and host as the client sees them.
	Origin func(*http.Request) (scheme, host string)
	// Address is where a request comes from.
	Address    func(*http.Request) netip.Addr
	Backups    Backups
	Leases     Leases
	Collector  Collector
	Retentions Retentions
	Retention  RetentionPreviewer
	Importer   Importer
	Imports    Imports
	Rewriting  Rewriting
	// Seen is what is known of a cluster's pods.
	Seen Seen
	// PullLimits may be nil: then nobody is limited.
	PullLimits PullLimits
	// SpoolDir is a local folder for dumps that are being sent; empty: the system's.
	SpoolDir string
	Checker  Checker
	// Version and Commit are the program's.
	Version, Commit string
	Now             func() time.Time
	Log             *slog.Logger
}

// service answers the operations.
type service struct {
	Config
	checking sync.Mutex // held by the one check that runs
}

// New returns the handler of everything below /api/.
func New(c Config) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	api := humago.New(mux, description(c.Version))
	s := &service{Config: c}
	s.registerVersion(api)
	s.registerWhoami(api)
	s.registerRegistry(api)
	s.registerLimits(api)
	s.registerKubernetes(api)
	s.registerClusterPods(api)
	s.registerTokens(api)
	s.registerLogins(api)
	s.registerUsers(api)
	s.registerGroups(api)
	s.registerServiceAccounts(api)
	s.registerProjects(api)
	s.registerAccess(api)
	s.registerProjectChanges(api)
	s.registerRepositories(api)
	s.registerTags(api)
	s.registerStars(api)
	s.registerPins(api)
	s.registerWarm(api)
	s.registerEvents(api)
	s.registerUpstreams(api)
	s.registerLedger(api)
	s.registerUpstreamCredentials(api)
	s.registerFailures(api)
	s.registerProjectCredentials(api)
	s.registerWebhooks(api)
	s.registerDeliveries(api)
	s.registerBackup(api)
	s.registerPrune(api)
	s.registerRetention(api)
	s.registerFsck(api)
	s.registerImports(api)
	mux.HandleFunc("GET "+openAPIPath, s.openAPI(api))
	mux.HandleFunc("GET "+docsPath, s.serveDocs(api))
	mux.HandleFunc(prefix, unknownPath(mux))
	return guard(mux)
}

// openAPI serves the description, written once at the first request. What huma
// serves by itself is written without a lock.
func (s *service) openAPI(api huma.API) http.HandlerFunc {
	document := sync.OnceValues(func() ([]byte, error) { return json.Marshal(api.OpenAPI()) })
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := document()
		if err != nil {
			writeProblem(w, s.fault(r.Context(), "openapi", err))
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(text)
	}
}

// description leaves out what huma would serve by itself: pages that load scripts
// from elsewhere, and the document in further forms.
func description(version string) huma.Config {
	c := huma.DefaultConfig("Larder", version)
	c.DocsPath, c.SchemasPath, c.OpenAPIPath = "", "", ""
	c.CreateHooks = nil
	c.Transformers = []huma.Transformer{explainInvalid}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"basic":  {Type: "http", Scheme: "basic", Description: "A user name and a password, or any name and an access token."},
		"bearer": {Type: "http", Scheme: "bearer", Description: "An access token."},
	}
	return c
}

// guard refuses what a page of another site makes a browser send with the
// credentials that it holds for this one, and keeps answers out of caches.
func guard(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem(http.StatusForbidden, "this request comes from a page of another site: send it from this registry's own pages or from a program"))
	}))
	return protection.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		telemetry.RecordOf(w).Route = "api"
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	}))
}
