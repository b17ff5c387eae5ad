package upstream

import (
	"net/http"
	"strings"
)

const (
	basic  = "basic"  // RFC 7617
	bearer = "bearer" // the Docker token specification
)

// scheme is how a registry wants its callers to prove who they are. The zero value
// is not known yet, or no proof wanted.
type scheme struct {
	name    string // basic or bearer
	realm   string // the token service's URL
	service string
	// scope is the challenge's own; empty means pulling from the repository asked for.
	scope string
	// reason is the challenge's error code (RFC 6750, §3.1), if any.
	reason string
}

// wanted reads what a 401 asks for. Bearer is preferred, since the password then
// goes to the token service only. It is the zero scheme when nothing usable is asked.
func wanted(header http.Header) scheme {
	var found scheme
	for _, c := range parseChallenges(header.Values("WWW-Authenticate")) {
		switch {
		case c.scheme == bearer && c.parameters["realm"] != "":
			return scheme{
				name:    bearer,
				realm:   c.parameters["realm"],
				service: c.parameters["service"],
				scope:   c.parameters["scope"],
				reason:  strings.ToLower(c.parameters["error"]),
			}
		case c.scheme == basic:
			found = scheme{name: basic}
		}
	}
	return found
}

// scopeFor is the scope of a token for reading a repository (Docker token scope
// documentation, §Resource scope).
func (s scheme) scopeFor(repo string) string {
	if s.scope != "" {
		return s.scope
	}
	return "repository:" + repo + ":pull"
}

// forAll is s as it holds for every repository of the registry. A scope that does
// not name the repository, such as public.ecr.aws's `aws`, holds for all of them.
func (s scheme) forAll(repo string) scheme {
	if strings.Contains(s.scope, repo) {
		s.scope = ""
	}
	s.reason = ""
	return s
}
