package distribution

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

const (
	defaultStall = 2 * time.Minute
	tokenPath    = "/token"
)

// Config is what a Handler stands on.
type Config struct {
	Hosted        *registry.Registry
	Resolver      Resolver
	Authenticator Authenticator
	AccessTokens  AccessTokens
	Authorizer    Authorizer
	Cursors       Cursors
	// Projects makes the project of a first push.
	Projects ProjectMaker
	// Reload puts in force what other servers have changed of the rights in a project; nil
	// where a cluster decides.
	Reload func(ctx context.Context, project string) error
	// Pulls hears of pulls; nil means that nobody does.
	Pulls Pulls
	// Mirrored hears of manifests that were asked for by the names that their own registries
	// give them, as mirrors of nodes do, and of the digest that was answered. It waits for
	// nothing; nil: nobody hears.
	Mirrored func(repo oci.Repository, asked oci.Reference, given digest.Digest)
	// PullLimits limits pulls; nil means that nobody does.
	PullLimits PullLimits
	// Origin is the registry's own scheme and host as the client sees them; nil: those of
	// the request.
	Origin func(*http.Request) (scheme, host string)
	// Address is where a request comes from.
	Address func(*http.Request) netip.Addr
	// Strangers tells whether a client's address may pull from cache projects without a
	// login; nil means all.
	Strangers func(*http.Request) bool
	// Failures keeps what caches refuse and serve stale; nil means that nobody does.
	Failures Failures
	// Events hears of changes and of refused logins; nil means that nobody does.
	Events Recorder
	// Stall is how long a client may neither send nor take a byte; zero means 2 minutes.
	Stall time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log hears of faults; nil means slog.Default.
	Log *slog.Logger
}

// Handler answers /v2/, /token, and the search of /v1/. It is safe for concurrent use.
type Handler struct {
	Config
	actions map[endpoint]map[string]action
	preview *preview
	// mirror is set on the listener where names are an upstream's own.
	mirror *Mirror
}

// action is what a method does at an endpoint, and what the caller must be allowed to.
type action struct {
	need string // authn's actions; "" when the handler decides itself
	run  func(context.Context, *exchange) error
}

// exchange is one request on its way through the handler.
type exchange struct {
	w      *pacedWriter
	r      *http.Request
	route  route
	target Target
	who    credentials
	// address is where the request comes from.
	address netip.Addr
	// admitted is true once the caller may do what was asked for.
	admitted bool
	// projects are those that the caller is a member of, as far as the target's upstream
	// has credentials of their own.
	projects []string
	// shares are the same, as far as the upstream's pulls are shared out among them.
	shares []string
	// scope is what a challenge asks for, "" for none.
	scope string
}

// New makes the handler of the main listener. It must get paths as they came: a
// http.ServeMux in front of it would clean and redirect them. It leaves a write deadline
// on the connection; the http.Server's WriteTimeout gives the next request its own.
func New(c Config) *Handler {
	h := &Handler{Config: c.withDefaults(), preview: newPreview()}
	h.actions = map[endpoint]map[string]action{
		endpointBase:    reading("", h.base),
		endpointCatalog: reading("", h.catalog),
		endpointManifest: {
			http.MethodGet:    {authn.ActionPull, h.getManifest},
			http.MethodHead:   {authn.ActionPull, h.headManifest},
			http.MethodPut:    {authn.ActionPush, h.putManifest},
			http.MethodDelete: {authn.ActionDelete, h.deleteManifest},
		},
		endpointBlob: {
			http.MethodGet:    {authn.ActionPull, h.getBlob},
			http.MethodHead:   {authn.ActionPull, h.headBlob},
			http.MethodDelete: {authn.ActionDelete, h.deleteBlob},
		},
		endpointUploads: {http.MethodPost: {authn.ActionPush, h.startUpload}},
		endpointUpload: {
			http.MethodGet:    {authn.ActionPush, h.uploadStatus},
			http.MethodHead:   {authn.ActionPush, h.uploadStatus},
			http.MethodPatch:  {authn.ActionPush, h.appendUpload},
			http.MethodPut:    {authn.ActionPush, h.finishUpload},
			http.MethodDelete: {authn.ActionPush, h.cancelUpload},
		},
		endpointTags:      reading(authn.ActionPull, h.tags),
		endpointReferrers: reading(authn.ActionPull, h.referrers),
	}
	return h
}

func (c Config) withDefaults() Config {
	if c.Stall == 0 {
		c.Stall = defaultStall
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Origin == nil {
		c.Origin = asAsked
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// asAsked is what a request itself says of the registry's origin.
func asAsked(r *http.Request) (scheme, host string) {
	if r.TLS != nil {
		return "https", r.Host
	}
	return "http", r.Host
}

// reading is an endpoint that GET and HEAD read.
func reading(need string, run func(context.Context, *exchange) error) map[string]action {
	return map[string]action{http.MethodGet: {need, run}, http.MethodHead: {need, run}}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: newPacedWriter(w, h.Stall, h.Now), r: r, address: h.Address(r)}
	defer x.w.finish()
	r.Body = newPacedBody(w, r.Body, h.Stall, h.Now)
	err := h.answer(r)(r.Context(), x)
	h.record(r.Context(), x, err)
	if err != nil {
		h.fail(x, err)
	}
}

// answer finds who answers at a path. The mirror listener has pulls only.
func (h *Handler) answer(r *http.Request) func(context.Context, *exchange) error {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch path := r.URL.Path; {
	case h.mirror != nil:
	case path == tokenPath:
		return h.token
	case path == searchPath && reads:
		return h.search
	case path == pingPath && reads:
		return h.ping
	}
	return h.serve
}

// serve leads a request along: parse, resolve, who is it, may they, handle.
func (h *Handler) serve(ctx context.Context, x *exchange) (err error) {
	if err := h.admits(x.r); err != nil {
		return err
	}
	todo, err := h.find(x)
	if err != nil {
		if x.route.name != "" {
			_, _ = h.resolve(ctx, x) // so that a cache project's refusals are marked as its answers too
		}
		return err
	}
	if x.route.name != "" {
		if x.target, err = h.resolve(ctx, x); err != nil {
			return err
		}
		x.scope = repositoryScope(x.target.Repository, scopeActions(todo.need)...) + x.mountScope()
	}
	if x.who, err = h.identify(ctx, x); err != nil {
		return err
	}
	if err := h.authorize(ctx, x, todo.need); err != nil {
		return err
	}
	x.admitted = true
	return todo.run(ctx, x)
}

// find reads the path and finds what is to be done. With an error the route's name is
// set when the path has one.
func (h *Handler) find(x *exchange) (todo action, err error) {
	if x.route, err = parseRoute(x.r.Method, x.r.URL.EscapedPath()); err != nil {
		return action{}, err
	}
	recordRoute(x)
	if x.route.endpoint == endpointBase {
		x.w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0") // older Dockers look for it here
	}
	return h.action(x)
}

// action finds what a method does. The error is an *oci.Error with UNSUPPORTED.
func (h *Handler) action(x *exchange) (action, error) {
	methods := h.actions[x.route.endpoint]
	if todo, ok := methods[x.r.Method]; ok {
		return todo, nil
	}
	refusal := &oci.Error{Code: oci.CodeUnsupported, Message: "method " + x.r.Method + " is not supported here"}
	if h.mirror != nil {
		refusal.Message = "this listener serves pulls of Docker Hub's images only: use the main listener"
	}
	x.w.Header().Set("Allow", allowed(methods)) // empty where no method is allowed (RFC 9110, §10.2.1)
	return action{}, refusal
}

// base answers whether this is a registry, and whether the credentials are good (OCI
// Distribution 1.1, §Determining Support).
func (h *Handler) base(_ context.Context, x *exchange) error {
	if !x.who.shown && h.mirror == nil {
		return loginNeeded("log in to this registry, or ask for an anonymous token")
	}
	return writeJSON(x.w, http.StatusOK, struct{}{})
}
