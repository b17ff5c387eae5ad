package upstream

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"
)

// maxRealmLogs bounds what an upstream that names ever new realms can do to the log.
const maxRealmLogs = 16

// origin is where requests go to: what must be the same for a credential to follow.
type origin struct{ scheme, host, port string }

func originOf(u *url.URL) origin {
	o := origin{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Hostname()), port: u.Port()}
	if o.port == "" {
		o.port = map[string]string{"http": "80", "https": "443"}[o.scheme]
	}
	return o
}

// trust is what a registry may do with the realm of a challenge.
type trust int

const (
	never       trust = iota // ask it nothing
	withoutName              // ask it for an anonymous token only
	withSecrets              // it may see the credentials
)

// realms decides which token services a registry may send its callers to.
type realms struct {
	upstream origin
	listed   []string // host or host:port, lower case

	mu     sync.Mutex
	logged map[string]bool
}

func newRealms(upstream *url.URL, listed []string) *realms {
	r := &realms{upstream: originOf(upstream), logged: map[string]bool{}}
	for _, entry := range listed {
		r.listed = append(r.listed, strings.ToLower(entry))
	}
	return r
}

// parseRealm checks the form of a realm.
func parseRealm(realm string) (*url.URL, error) {
	u, err := url.Parse(realm)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("realm %q is not an http or https URL", excerpt(realm))
	}
	return u, nil
}

// trust binds the realm to the upstream. Otherwise whoever answers for the upstream
// could name a host of its own and be handed the credentials. A port does not matter, as
// certificates and addresses say nothing of it.
func (r *realms) trust(realm *url.URL) trust {
	at := originOf(realm)
	switch {
	case at.scheme == "http" && r.upstream.scheme == "https":
		return never
	case at.host == r.upstream.host, r.lists(at), at.scheme == "https" && sameDomain(at.host, r.upstream.host):
		return withSecrets
	}
	return withoutName
}

func (r *realms) lists(at origin) bool {
	for _, entry := range r.listed {
		if entry == at.host || entry == net.JoinHostPort(at.host, at.port) {
			return true
		}
	}
	return false
}

// sameDomain tells whether two hosts belong to one registrable domain, that is the
// public suffix and one label before it. Addresses and bare names have none.
func sameDomain(a, b string) bool {
	if net.ParseIP(a) != nil || net.ParseIP(b) != nil {
		return false
	}
	one, err := publicsuffix.EffectiveTLDPlusOne(strings.TrimSuffix(a, "."))
	if err != nil {
		return false
	}
	other, err := publicsuffix.EffectiveTLDPlusOne(strings.TrimSuffix(b, "."))
	return err == nil && one == other
}

// firstSight is true once for each host, so that a refusal is logged once.
func (r *realms) firstSight(host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.logged[host] || len(r.logged) >= maxRealmLogs {
		return false
	}
	r.logged[host] = true
	return true
}

// admit finds the token service of a challenge for an account, or says why the
// account must not use it.
func (r *Registry) admit(a *account, s scheme) (*url.URL, error) {
	realm, err := parseRealm(s.realm)
	if err != nil {
		return nil, &Error{Kind: Invalid, Upstream: r.config.Name, Message: "reading the challenge", Err: err}
	}
	given := r.realms.trust(realm)
	if given == withSecrets || given == withoutName && a.anonymous() {
		a.block("")
		return realm, nil
	}
	a.block(realm.Host)
	if r.realms.firstSight(realm.Host) {
		r.log.Warn("the upstream's challenge names a token service on another host: no credential is sent to it; if it is right, add the host to the upstream's realms",
			"upstream", r.config.Name, "realm", realm.Scheme+"://"+realm.Host, "asked anonymously", given == withoutName)
	}
	return nil, &Error{
		Kind: Blocked, Upstream: r.config.Name,
		Message: fmt.Sprintf("no credential was sent to the token service at %s://%s, which is not bound to the upstream: if it is right, add the host to the upstream's realms", realm.Scheme, realm.Host),
	}
}
