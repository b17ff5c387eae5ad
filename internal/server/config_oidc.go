package server

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/authn"
)

const (
	// oidcSecretVariable holds the secret of the client that the registry is at the issuer.
	oidcSecretVariable = "LARDER_OIDC_CLIENT_SECRET"
	// oidcPrefix keeps the names of the issuer's users and groups apart from all others:
	// accounts and groups that are made here have no colon.
	oidcPrefix = "oidc:"
)

var (
	// namePrefix is what the names of users and groups may begin with.
	namePrefix = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._@+:-]{0,63})?$`)
	// scopeToken is one scope of OAuth 2.0 (RFC 6749, §3.3).
	scopeToken = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,128}$`)
	claimName  = regexp.MustCompile(`^[!-~]{1,128}$`)
)

// OIDC says at which OpenID Connect issuer people log in.
type OIDC struct {
	Issuer, ClientID string
	ClientSecret     Password // empty for a public client
	// UsernameClaim is empty for the first there is of preferred_username, email and sub.
	UsernameClaim, UsernamePrefix string
	GroupsClaim, GroupsPrefix     string
	Scopes                        []string // nil: those that the issuer has of the usual ones
	AllowedGroups                 []string // of which people have to be in one; empty: everybody may log in
	CA                            string   // PEM file with further roots; may be empty
}

func (r *fileReader) oidc(e entry) {
	c := &OIDC{UsernamePrefix: oidcPrefix, GroupsClaim: "groups", GroupsPrefix: oidcPrefix}
	r.mapping(e, fields{
		"issuer":   func(e entry) { r.issuer(e, &c.Issuer) },
		"clientID": func(e entry) { r.word(e, &c.ClientID) },
		"clientSecretFile": func(e entry) {
			if g, ok := r.text(e); ok {
				r.loader.oidcSecretFile = g
			}
		},
		"clientSecret": func(e entry) {
			r.wrong(e, "must not stand in the configuration: write the secret to a file of its own, and that file's path as clientSecretFile, or give it in the environment variable "+oidcSecretVariable)
		},
		"usernameClaim": func(e entry) {
			r.matching(e, &c.UsernameClaim, claimName, "is no claim: write the name of one, for example email")
		},
		"usernamePrefix": func(e entry) { r.prefix(e, &c.UsernamePrefix) },
		"groupsClaim": func(e entry) {
			r.matching(e, &c.GroupsClaim, claimName, "is no claim: write the name of one, for example groups")
		},
		"groupsPrefix":  func(e entry) { r.prefix(e, &c.GroupsPrefix) },
		"scopes":        func(e entry) { c.Scopes = list(&r.yamlFile, e, parseScope) },
		"allowedGroups": func(e entry) { c.AllowedGroups = list(&r.yamlFile, e, parseGroup) },
		"ca":            func(e entry) { r.authorities(e, &c.CA) },
	})
	if c.Issuer == "" || c.ClientID == "" {
		r.wrong(e, "needs an issuer and a clientID, the registry's own there")
	}
	r.loader.config.OIDC = c
}

// matching reads a word that has to match.
func (r *fileReader) matching(e entry, to *string, pattern *regexp.Regexp, advice string) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	if !pattern.MatchString(g.text) {
		r.fail(g.errorf("%s", advice))
		return
	}
	*to = g.text
}

// prefix reads what names of the issuer begin with here; it may be empty.
func (r *fileReader) prefix(e entry, to *string) {
	if g, ok := r.text(e); ok && strings.HasPrefix(g.text, "system:") {
		r.fail(g.errorf("would make the issuer's users and groups Kubernetes' own: write another, for example %s", oidcPrefix))
		return
	}
	r.matching(e, to, namePrefix, "is no prefix: write at most 64 letters, digits, and . _ @ + - :, for example "+oidcPrefix)
}

func parseScope(g given) (string, error) {
	if !scopeToken.MatchString(g.text) {
		return "", g.errorf("is no scope: write one such as groups")
	}
	return g.text, nil
}

func parseGroup(g given) (string, error) {
	if g.text == "" {
		return "", g.errorf("is no group: write its name as the issuer has it")
	}
	return g.text, nil
}

// oidcSecret completes the client with its secret: that of the environment, else the file's.
func (l *loader) oidcSecret(lookupEnv func(string) (string, bool)) {
	c := l.config.OIDC
	if c == nil {
		return
	}
	if text, set := lookupSet(lookupEnv, oidcSecretVariable); set {
		secret, err := cleanPassword([]byte(text))
		if err != nil {
			l.fail(fmt.Errorf("environment variable %s %w", oidcSecretVariable, err))
		}
		c.ClientSecret = secret
		return
	}
	if l.oidcSecretFile.text == "" {
		return
	}
	secret, err := l.password(l.oidcSecretFile)
	if err != nil {
		l.fail(err)
	}
	c.ClientSecret = secret
}

// oidc logs people in at the issuer of a configuration; nil where there is none.
func (f *floor) oidc(c *OIDC) (api.OIDC, error) {
	if c == nil {
		return nil, nil
	}
	authorities, err := furtherAuthorities(c.CA)
	if err != nil {
		return nil, fmt.Errorf("the ca of the issuer %s: %w", c.Issuer, err)
	}
	return authn.NewOIDC(f.who, f.DB.Users, authn.OIDCConfig{
		Issuer: c.Issuer, ClientID: c.ClientID, ClientSecret: string(c.ClientSecret), Scopes: c.Scopes,
		UsernameClaim: c.UsernameClaim, UsernamePrefix: c.UsernamePrefix,
		GroupsClaim: c.GroupsClaim, GroupsPrefix: c.GroupsPrefix,
		AllowedGroups: c.AllowedGroups, Authorities: authorities,
	}), nil
}
