package server

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// validate checks what concerns several values at once, after each of them was
// found good by itself.
func (l *loader) validate() {
	l.validateTLS()
	l.validateListeners()
	for i := range l.upstreams {
		l.completeUpstream(&l.upstreams[i])
	}
	l.validateUpstreamNames()
	l.validateRegistries()
	l.validateMirror()
	l.validateReplica()
	l.validateKubernetes()
	l.validateCacheSize()
}

func (l *loader) validateReplica() {
	c := l.config
	if c.Replica.Advertise != nil && (c.Database == "" || c.Storage == nil) {
		l.fail(l.given["replica.advertise"].errorf("is for several servers on one database and one storage: set database to a PostgreSQL and storage to an S3 that all of them use, or remove it"))
	}
}

func (l *loader) validateTLS() {
	t := l.config.TLS
	switch from := l.given["tls"].from; {
	case len(t.ACME.Domains) > 0 && (t.SelfSigned || t.CertFile != "" || t.KeyFile != ""):
		l.fail(fmt.Errorf("tls (%s) has acme and another source of certificates: keep one of acme, selfSigned: true, and certFile with keyFile", from))
	case t.SelfSigned && (t.CertFile != "" || t.KeyFile != ""):
		l.fail(fmt.Errorf("tls (%s) has both selfSigned and certificate files: keep either selfSigned: true, or certFile and keyFile", from))
	case (t.CertFile == "") != (t.KeyFile == ""):
		l.fail(fmt.Errorf("tls (%s) needs both certFile and keyFile, or neither", from))
	}
}

func (l *loader) validateListeners() {
	c := l.config
	taken := map[string]string{}
	for _, listener := range []struct{ key, address string }{
		{"listen", c.Listen},
		{"mirror.listen", c.Mirror.Listen},
		{"metrics.listen", c.Metrics.Listen},
		{"kubernetes.listen", c.Kubernetes.Listen},
	} {
		if listener.address == "" {
			continue
		}
		if !c.TLS.Enabled() && !c.InsecureHTTP && listener.key != "kubernetes.listen" && !loopback(listener.address) {
			l.fail(l.given[listener.key].errorf("is open to other machines, and passwords would cross the network in clear text: set tls.certFile and tls.keyFile, or tls.selfSigned: true, in the configuration file; or add --insecure-http if a proxy or the network takes care of encryption"))
		}
		if other, used := taken[listener.address]; used && !strings.HasSuffix(listener.address, ":0") {
			l.fail(l.given[listener.key].errorf("is the address of %s already: give each listener a port of its own", other))
		}
		taken[listener.address] = listener.key
	}
}

// loopback tells whether only this machine can reach the address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return strings.EqualFold(host, "localhost")
	}
	return ip.Unmap().IsLoopback()
}

func (l *loader) completeUpstream(e *upstreamEntry) {
	u := e.upstream.withDefaults()
	switch {
	case u.Name == "":
		l.fail(fmt.Errorf("an upstream (%s) has no name: write name: and the project through which its images are pulled, for example docker-hub", e.from))
	case u.URL == nil:
		l.fail(fmt.Errorf("upstream %s (%s) has no url: write url: https://HOST", u.Name, e.from))
	}
	if u.Hub() {
		u.Allow, u.Deny = qualifyPatterns(u.Allow), qualifyPatterns(u.Deny)
	}
	e.upstream = u
}

func (l *loader) validateUpstreamNames() {
	first := map[string]string{}
	for _, e := range l.upstreams {
		name := e.upstream.Name
		if from, used := first[name]; used && name != "" {
			l.fail(fmt.Errorf("two upstreams are named %s (%s and %s): give each a name of its own", name, from, e.from))
			continue
		}
		first[name] = e.from
	}
}

func (l *loader) validateRegistries() {
	holder := map[string]string{}
	for _, e := range l.upstreams {
		for _, registry := range e.upstream.Registries {
			if other, used := holder[registry]; used {
				l.fail(fmt.Errorf("registry %s belongs to upstream %s and to upstream %s (%s): list it once", registry, other, e.upstream.Name, e.from))
				continue
			}
			holder[registry] = e.upstream.Name
		}
	}
}

func (l *loader) validateMirror() {
	if l.config.Mirror.Listen == "" {
		return
	}
	for _, e := range l.upstreams {
		if e.upstream.Hub() {
			return
		}
	}
	l.fail(l.given["mirror.listen"].errorf("needs Docker Hub among the upstreams: list docker.io in the registries of one of them, or name one docker-hub"))
}
