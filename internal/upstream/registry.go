// Package upstream is the client of other registries: reading manifests, blobs, tags
// and referrers by the OCI Distribution protocol, with the credentials and within the
// limits that one upstream gives.
//
// A call goes down one path: it is made as each account in turn (request.go,
// credentials.go), with the proof that the registry asks for (proof.go, scheme.go,
// token.go), tried again after a passing fault (exchange.go), and taken where redirects
// lead (redirect.go). What answers say of limits is kept (ratelimit.go).
package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// Config is what is known of one upstream. Name and URL are needed.
type Config struct {
	Name string
	URL  *url.URL // http or https; /v2/ follows its path
	// Hub is true for Docker Hub, where one-part names live under library/.
	Hub bool
	// Credentials are tried in this order, and before those that are added later.
	Credentials []Credential
	// Refused is told once of each credential that the upstream refuses, and by what part
	// of it. Nil: nobody is told.
	Refused func(c Credential, by string)
	// Realms lists further hosts, or host:port, that may be shown the credentials.
	Realms []string
	// CAFile holds certificates in PEM form that are trusted beside the system's.
	CAFile string
	// PublicOnly refuses to connect to addresses that are not public.
	PublicOnly bool
	// Gate decides on pulls before they are asked for. Nil: all are.
	Gate Gate
	// UserAgent is "larder" when empty.
	UserAgent string
	Timeouts  Timeouts
	// Report is told of every call once its answer has been read, or did not come. It
	// must not block. Nil: nobody is told.
	Report func(Call)
	// Now is time.Now when nil. Tokens, rests and HTTP dates are judged by it.
	Now func() time.Time
}

// Registry is the client of one upstream. It is safe for concurrent use.
type Registry struct {
	config    Config
	metrics   *Metrics
	log       *slog.Logger
	transport *http.Transport
	realms    *realms
	pool      *pool
	stranger  *account
	tokens    *tokens

	greeting chan struct{} // held by the caller that asks how to prove who it is

	mu         sync.Mutex
	learned    scheme
	introduced bool // learned holds
	restsUntil time.Time
}

// New makes the client of one upstream; nothing is sent before the first call. Close
// ends it.
func New(c Config, metrics *Metrics, log *slog.Logger) (*Registry, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("upstream %q: %w", c.Name, err)
	}
	c.Timeouts = c.Timeouts.withDefaults()
	if c.UserAgent == "" {
		c.UserAgent = "larder"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	transport, err := newTransport(c)
	if err != nil {
		return nil, fmt.Errorf("upstream %q: %w", c.Name, err)
	}
	r := &Registry{
		config: c, metrics: metrics, log: log, transport: transport,
		realms:   newRealms(c.URL, c.Realms),
		pool:     newPool(c.Credentials),
		stranger: newAccount(nil),
		greeting: make(chan struct{}, 1),
	}
	r.tokens = newTokens(c.Now, r.fetchToken)
	r.measure()
	return r, nil
}

// SetAdded says which credentials there are beside those that are configured, in place of
// what was said before. They count from the next request on. One that was refused is tried
// again once its password is another.
func (r *Registry) SetAdded(all []Credential) {
	for _, gone := range r.pool.add(all) {
		r.metrics.forget(r.config.Name, gone.name)
	}
	r.measure()
}

// measure shows which credentials there are and which of them are refused.
func (r *Registry) measure() {
	for _, a := range r.pool.all() {
		refused := 0.0
		if a.standing().refused {
			refused = 1
		}
		r.metrics.refused.WithLabelValues(r.config.Name, a.name).Set(refused)
	}
}

// Close cancels requests for tokens that are under way, waits for them, and drops
// idle connections. No call may follow; open bodies stay readable.
func (r *Registry) Close() {
	r.tokens.close()
	r.transport.CloseIdleConnections()
}

func (c Config) check() error {
	switch {
	case c.Name == "":
		return errors.New("it has no name")
	case c.URL == nil || c.URL.Host == "" || (c.URL.Scheme != "http" && c.URL.Scheme != "https"):
		return errors.New("its URL must begin with http:// or https:// and name a host")
	case c.URL.User != nil || c.URL.RawQuery != "" || c.URL.Fragment != "":
		return errors.New("its URL holds more than a host and a path: credentials belong under credentials")
	}
	for _, credential := range c.Credentials {
		if credential.Username == "" || credential.Password == "" {
			return errors.New("one of its credentials has no user name or no password")
		}
	}
	return nil
}

// name is what the upstream calls a repository.
func (r *Registry) name(repo string) (string, error) {
	if r.config.Hub && !strings.Contains(repo, "/") {
		repo = "library/" + repo
	}
	if err := oci.CheckName(repo); err != nil {
		return "", fmt.Errorf("%s: %w", r.config.Name, err)
	}
	return repo, nil
}

// bounded bounds a call as a whole.
func (r *Registry) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.config.Timeouts.Request)
}
