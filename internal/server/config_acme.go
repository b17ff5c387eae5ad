package server

import (
	"errors"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
)

// maxDomains is how many names one server has certificates for.
const maxDomains = 100

var errDomain = errors.New("is not a host name that an authority certifies: write one such as registry.example.com, not an address and not a wildcard")

func (r *fileReader) acme(e entry) {
	c := &r.loader.config.TLS.ACME
	r.mapping(e, fields{
		"domains":   func(e entry) { c.Domains = list(&r.yamlFile, e, parseDomain) },
		"email":     func(e entry) { r.email(e, &c.Email) },
		"directory": func(e entry) { r.directory(e, &c.Directory) },
		"ca":        func(e entry) { r.authorities(e, &c.CA) },
	})
	switch {
	case len(c.Domains) == 0:
		r.wrong(e, "needs domains: list the names by which clients reach this server")
	case len(c.Domains) > maxDomains:
		r.wrong(e, "has more than 100 domains")
	}
}

// parseDomain accepts a name that an authority can look up (RFC 8555, §7.1.4).
func parseDomain(g given) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(g.text, "."))
	if _, err := netip.ParseAddr(name); err == nil || !hostGrammar.MatchString(name) || !strings.Contains(name, ".") {
		return "", g.errorf("%w", errDomain)
	}
	return name, nil
}

func (r *fileReader) email(e entry, to *string) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	if address, err := mail.ParseAddress(g.text); err != nil || address.Address != g.text {
		r.fail(g.errorf("is not a mail address: write NAME@HOST"))
		return
	}
	*to = g.text
}

func (r *fileReader) directory(e entry, to **url.URL) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	u, err := url.Parse(g.text)
	if err != nil || u.Scheme != "https" || !validAuthority(u.Host) || u.User != nil {
		r.fail(g.errorf("is not the address of an ACME directory: write https://HOST/PATH"))
		return
	}
	*to = u
}
