package server

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/telemetry"
)

// exempt tells which requests of the main listener the overall limit does not count: those
// that tell whether the server is well, and those of other replicas.
func (s *Server) exempt(r *http.Request) bool {
	switch {
	case r.URL.Path == "/healthz", r.URL.Path == "/readyz":
		return true
	case s.floor.replicas == nil || !strings.HasPrefix(r.URL.Path, distribution.FillsPath):
		return false
	}
	asked := authn.ReplicaRequest{Method: r.Method, Path: r.URL.Path, Range: r.Header.Get("Range")}
	return s.floor.who.VerifyReplica(r.Context(), asked, r.Header.Get("Authorization")) == nil
}

func nothing(*http.Request) bool { return false }

// limitsPage tells people what is limited here, and what to do about it. Errors point to
// it.
type limitsPage struct {
	config  PullLimits
	limits  *pulllimit.Limits
	origin  func(*http.Request) (scheme, host string)
	clients *telemetry.ClientAddress
}

// ServeHTTP answers with a text for people. It names no project and no group.
func (p *limitsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	telemetry.RecordOf(w).Route = "limits"
	scheme, host := p.origin(r)
	address := scheme + "://" + host
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "LIMITS OF THIS REGISTRY, %s\n\n", host)
	p.rules(&text)
	p.yours(&text, r)
	_, _ = fmt.Fprintf(&text, limitsHelp, address, address, address)
	w.Header().Set("Cache-Control", "no-store")
	say(w, http.StatusOK, text.String())
}

// rules lists the limits that its operator has set.
func (p *limitsPage) rules(text *strings.Builder) {
	if !p.config.Any() && p.config.Overall.Unlimited() {
		text.WriteString("Its operator has set no limits.\n\n")
		return
	}
	text.WriteString("Its operator has set these limits:\n\n")
	line := func(what string, l ratelimit.Limit, unit string) {
		many := "no limit"
		if !l.Unlimited() {
			many = fmt.Sprintf("%d %s in %s", l.Most, unit, strings.Split(l.String(), "/")[1])
		}
		_, _ = fmt.Fprintf(text, "  %-46s %s\n", what, many)
	}
	if p.config.Any() {
		line("without a login, for each address (IPv6: /64)", p.config.Anonymous, "pulls")
		line("for each account", p.config.Authenticated, "pulls")
		if p.config.ServiceAccounts != nil {
			line("for each service account", *p.config.ServiceAccounts, "pulls")
		}
	}
	if !p.config.Overall.Unlimited() {
		line("all requests of an address", p.config.Overall, "requests")
	}
	if len(p.config.Projects)+len(p.config.Groups) > 0 {
		text.WriteString("\nThere are exceptions: for the images of some projects, or the members of some groups.\n")
	}
	text.WriteString("\n")
}

// yours tells a stranger what is left.
func (p *limitsPage) yours(text *strings.Builder, r *http.Request) {
	s, limited := p.limits.Standing(pulllimit.Caller{Identity: authn.Anonymous(), Address: p.clients.Of(r)}, "")
	if !limited {
		return
	}
	_, _ = fmt.Fprintf(text, "Your address, %s, has %d of %d pulls left", s.Source, s.Remaining, s.Limit.Most)
	if s.Wait > 0 {
		_, _ = fmt.Fprintf(text, ", the next in %s", (s.Wait + time.Second - 1).Truncate(time.Second))
	}
	text.WriteString(".\n\n")
}

const limitsHelp = `WHAT COUNTS

A pull is a GET of a manifest that is answered. An index (an image for several
platforms) and the GET of one of its manifests after it are one pull. HEAD, what is not
found, and what has not changed since (304) do not count; layers never do.

HOW MANY ARE LEFT

  TOKEN=$(curl "%s/token?service=registry.docker.io&scope=repository:ratelimitpreview/test:pull" | jq -r .token)
  curl --head -H "Authorization: Bearer $TOKEN" %s/v2/ratelimitpreview/test/manifests/latest

tells it in RateLimit-Limit and RateLimit-Remaining, and costs nothing; w is the window in
seconds. With --user NAME:PASSWORD on the first line it tells of an account. No such
headers mean no limit.

WHEN A PULL IS REFUSED WITH "toomanyrequests"

- "on HOST, set by its operator": it is one of the limits above. Retry-After says how
  many seconds to wait. Log in (docker login), use one account for each machine or
  pipeline, pull less often, or ask the operator for an exception.
- "Docker Hub's, upstream", or that of another registry: this registry has no pulls left
  there, and the image is not in its cache. What is cached is served all the same. Wait,
  or ask the operator to add an account to the upstream.
- a plain "Too Many Requests": too many requests of any kind came from your address.
  Wait as long as Retry-After says.

This page: %s/limits
`
