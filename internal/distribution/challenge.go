package distribution

import (
	"fmt"
	"strings"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/oci"
)

// scopeActions is what a challenge asks for when an action is missing: clients that
// push also look what is there.
func scopeActions(need string) []string {
	if need == authn.ActionPush {
		return []string{authn.ActionPull, authn.ActionPush}
	}
	return []string{need}
}

// mountScope asks for the source of a mount in the same challenge, since a client may
// ask for one token only. It is the name as the client knows it.
func (x *exchange) mountScope() string {
	query := x.r.URL.Query()
	from := query.Get("from")
	if x.route.endpoint != endpointUploads || !query.Has("mount") || oci.CheckName(from) != nil {
		return ""
	}
	return " " + repositoryScope(oci.Repository(from), authn.ActionPull)
}

func repositoryScope(repo oci.Repository, actions ...string) string {
	return authn.Access{Type: authn.TypeRepository, Name: repo.String(), Actions: actions}.String()
}

// challenge tells a client where to get a token and for what (RFC 6750, §3; Docker's
// token specification). Docker shows the description of an insufficient scope, or words
// of its own when there is none, and not the body's message.
func (h *Handler) challenge(x *exchange, description string) {
	scheme, host := h.Origin(x.r)
	if x.r.URL.Path == tokenPath {
		x.w.Header().Set("WWW-Authenticate", `Basic realm="`+quoted(host)+`"`)
		return
	}
	value := fmt.Sprintf(`Bearer realm="%s://%s%s",service="%s"`, scheme, quoted(host), tokenPath, quoted(host))
	if x.scope != "" {
		value += `,scope="` + x.scope + `"`
	}
	if x.who.bearer {
		reason := "insufficient_scope"
		if x.who.identity.User == "" {
			reason = "invalid_token"
		}
		value += `,error="` + reason + `",error_description="` + described(description) + `"`
	}
	x.w.Header().Set("WWW-Authenticate", value)
}

// described is text in the characters that a description may have (RFC 6750, §3).
func described(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		words[i] = quoted(word)
	}
	return strings.Join(words, " ")
}

// quoted keeps what a client sent as its Host from breaking out of a quoted string.
func quoted(s string) string {
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, s)
}
