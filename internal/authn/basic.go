package authn

import (
	"net/http"
	"strings"
)

// BasicAuth reads the credentials of a request as Request.BasicAuth does, but lets the
// name of whoever shows a token have colons, as the names of service accounts and of
// people of an issuer do: Basic ends every name at the first one (RFC 7617, §2), so that
// the rest of such a name comes before the token.
func BasicAuth(r *http.Request) (user, password string, ok bool) {
	user, password, ok = r.BasicAuth()
	if i := strings.LastIndexByte(password, ':'); i >= 0 && isToken(password[i+1:]) {
		user, password = user+":"+password[:i], password[i+1:]
	}
	return user, password, ok
}

// isToken tells by its form alone whether s may be a token of this registry, of an issuer
// or of a cluster. None of them holds a colon.
func isToken(s string) bool {
	if isAccessToken(s) || strings.HasPrefix(s, openShiftPrefix) {
		return true
	}
	_, ok := issuerOf(s)
	return ok
}
