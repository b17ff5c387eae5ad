package server

import (
	"crypto/x509"
	"fmt"
)

// upstreams replaces the default list, also by an empty one.
func (r *fileReader) upstreams(e entry) {
	items, ok := r.items(e)
	if !ok {
		return
	}
	r.loader.upstreams = make([]upstreamEntry, 0, len(items))
	for _, item := range items {
		r.loader.upstreams = append(r.loader.upstreams, upstreamEntry{upstream: r.upstream(item), from: r.from(item)})
	}
}

func (r *fileReader) upstream(e entry) Upstream {
	u := newUpstream("")
	r.mapping(e, fields{
		"name":        func(e entry) { r.upstreamName(e, &u) },
		"url":         func(e entry) { r.upstreamURL(e, &u) },
		"registries":  func(e entry) { u.Registries = list(&r.yamlFile, e, parseHost) },
		"credentials": func(e entry) { u.Credentials = r.credentials(e) },
		"tagTTL":      func(e entry) { r.duration(e, &u.TagTTL) },
		"allow":       func(e entry) { u.Allow = list(&r.yamlFile, e, parsePattern) },
		"deny":        func(e entry) { u.Deny = list(&r.yamlFile, e, parsePattern) },
		"realms":      func(e entry) { u.Realms = list(&r.yamlFile, e, parseHost) },
		"ca":          func(e entry) { r.authorities(e, &u.CA) },
		"warnAt":      func(e entry) { u.WarnAt = list(&r.yamlFile, e, parseLevel) },
		"reserve":     func(e entry) { u.Shares.Reserves = r.reserves(e) },
		"budgets":     func(e entry) { u.Shares.Budgets = r.budgets(e) },
		"refresh":     func(e entry) { u.Refresh = r.refresh(e) },
	})
	return u
}

func (r *fileReader) upstreamName(e entry, u *Upstream) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	if err := checkUpstreamName(g); err != nil {
		r.fail(err)
	}
	u.Name = g.text
}

func (r *fileReader) upstreamURL(e entry, u *Upstream) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	parsed, err := parseBaseURL(g)
	if err != nil {
		r.fail(err)
		return
	}
	u.URL = parsed
}

// authorities is the path of a file with certificates, looked at now because later
// nobody knows any more where in the configuration it stood.
func (r *fileReader) authorities(e entry, to *string) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	text, err := r.loader.readFile(g.text)
	switch {
	case err != nil:
		r.fail(g.errorf("cannot be read: write the path of a PEM file with certificates: %w", err))
	case !x509.NewCertPool().AppendCertsFromPEM(text):
		r.fail(g.errorf("holds no certificate: write the path of a PEM file with those that are to be trusted beside the system's"))
	}
	*to = g.text
}

func (r *fileReader) credentials(e entry) []Credential {
	items, ok := r.items(e)
	if !ok {
		return nil
	}
	credentials := make([]Credential, 0, len(items))
	for _, item := range items {
		credentials = append(credentials, r.credential(item))
	}
	return credentials
}

func (r *fileReader) credential(e entry) Credential {
	var c Credential
	var file given
	r.mapping(e, fields{
		"username": func(e entry) {
			if g, ok := r.text(e); ok {
				c.Username = g.text
			}
		},
		"passwordFile": func(e entry) {
			if g, ok := r.text(e); ok {
				c.PasswordFile, file = g.text, g
			}
		},
		"password": func(e entry) {
			r.wrong(e, "must not stand in the configuration: write the password to a file of its own, and that file's path as passwordFile")
		},
	})
	if c.Username == "" || c.PasswordFile == "" {
		r.wrong(e, "needs both a username and a passwordFile")
		return c
	}
	password, err := r.loader.password(file)
	if err != nil {
		r.fail(err)
	}
	c.Password = password
	return c
}

// password reads a secret from the file that was given for it.
func (l *loader) password(file given) (Password, error) {
	text, err := l.readFile(file.text)
	if err != nil {
		return "", file.errorf("cannot be read: %w", err)
	}
	password, err := cleanPassword(text)
	if err != nil {
		return "", fmt.Errorf("%s (%s): the file %s %w", file.key, file.from, file.text, err)
	}
	return password, nil
}
