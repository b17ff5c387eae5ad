package server

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/oci"
)

func (r *fileReader) ciTokens(e entry) {
	items, ok := r.items(e)
	if !ok {
		return
	}
	for _, item := range items {
		r.loader.config.CITokens = append(r.loader.config.CITokens, r.ciToken(item))
	}
}

func (r *fileReader) ciToken(e entry) CIToken {
	var c CIToken
	r.mapping(e, fields{
		"issuer":         func(e entry) { r.issuer(e, &c.Issuer) },
		"audience":       func(e entry) { r.word(e, &c.Audience) },
		"claims":         func(e entry) { c.Claims = r.claims(e) },
		"serviceAccount": func(e entry) { r.serviceAccount(e, &c.User) },
		"user":           func(e entry) { r.word(e, &c.User) },
		"ca":             func(e entry) { r.authorities(e, &c.CA) },
	})
	switch {
	case c.Issuer == "" || c.Audience == "" || c.User == "":
		r.wrong(e, "needs an issuer, an audience, and a serviceAccount (or a user) to log in as")
	case len(c.Claims) == 0:
		r.wrong(e, "needs claims: without any, every pipeline of the issuer could log in, those of others too; write for example claims: {repository: acme/*}")
	}
	return c
}

func (r *fileReader) word(e entry, to *string) {
	if g, ok := r.text(e); ok {
		*to = g.text
	}
}

// issuer is a URL that has to be written just as the issuer's tokens have it.
func (r *fileReader) issuer(e entry, to *string) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	u, err := url.Parse(g.text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(withPort(u.Host))) {
		r.fail(g.errorf("is no issuer: write the URL as its tokens have it in iss, for example https://token.actions.githubusercontent.com"))
		return
	}
	*to = g.text
}

// withPort completes a host, so that it can be told whether it is this machine.
func withPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i < 0 || strings.HasSuffix(host, "]") {
		return host + ":80"
	}
	return host
}

func (r *fileReader) serviceAccount(e entry, to *string) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	project, name, found := strings.Cut(g.text, "/")
	if !found || oci.CheckProject(project) != nil || strings.Contains(name, "/") || oci.CheckName(name) != nil {
		r.fail(g.errorf("is no service account: write PROJECT/NAME, for example demo/ci"))
		return
	}
	*to = authn.ServiceAccount(project, name)
}

// claims is a mapping whose keys are the issuer's.
func (r *fileReader) claims(e entry) map[string]string {
	node, ok := e.node.(*ast.MappingNode)
	if !ok {
		r.wrong(e, "takes a mapping of claims and patterns, for example {repository: acme/*}")
		return nil
	}
	claims := map[string]string{}
	for _, pair := range node.Values {
		child := entry{line: lineOf(pair.Key), node: pair.Value, key: join(e.key, pair.Key.GetToken().Value)}
		g, ok := r.text(child)
		if !ok {
			continue
		}
		if _, err := path.Match(g.text, ""); err != nil || g.text == "" {
			r.fail(g.errorf("is no pattern: write a value, with * for any part between two slashes"))
			continue
		}
		claims[pair.Key.GetToken().Value] = g.text
	}
	return claims
}

// ciRules completes the rules with the authorities that they name.
func ciRules(all []CIToken) ([]authn.CIRule, error) {
	rules := make([]authn.CIRule, 0, len(all))
	for _, c := range all {
		authorities, err := furtherAuthorities(c.CA)
		if err != nil {
			return nil, fmt.Errorf("the ca of the issuer %s: %w", c.Issuer, err)
		}
		rules = append(rules, authn.CIRule{Issuer: c.Issuer, Audience: c.Audience, Claims: c.Claims, User: c.User, Authorities: authorities})
	}
	return rules, nil
}

// furtherAuthorities are the system's and those of a file; nil, which means the system's,
// where none is named.
func furtherAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(text)
	return pool, nil
}
