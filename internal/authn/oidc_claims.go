package authn

import (
	"fmt"
	"strings"
	"unicode"
)

const (
	// maxGroups is how many groups of one person are looked at.
	maxGroups = 1000
	// maxGroup is the longest name of a group that a role can be bound to, in bytes.
	maxGroup = 253
)

// claimSet is what a verified token says of somebody.
type claimSet map[string]any

// userName is what the issuer calls somebody, by one claim or, when that is "", by the
// first there is of preferred_username, email and sub. An email counts only if the issuer
// does not say that it is unverified (OpenID Connect Core 1.0, §5.1). The error is a
// *LoginError.
func (c claimSet) userName(claim string) (string, error) {
	claims := []string{claim}
	if claim == "" {
		claims = []string{"preferred_username", "email", "sub"}
	}
	for _, name := range claims {
		value, _ := c[name].(string)
		if value == "" || name == "email" && !c.emailVerified() {
			continue
		}
		if CheckUserName(value) != nil {
			return "", refusedLogin("the issuer calls you %.130q (claim %s), and that is no possible user name here: at most %d letters, digits, and . _ @ + -; ask an administrator of this registry, who can choose another claim (oidc.usernameClaim)", value, name, maxUser)
		}
		return value, nil
	}
	return "", refusedLogin("the issuer does not tell your name: its token has no claim %s, or one that is not verified; ask an administrator of this registry to look at oidc.usernameClaim and oidc.scopes", strings.Join(claims, ", "))
}

// emailVerified is true also where the issuer does not say. Some say it in a text.
func (c claimSet) emailVerified() bool {
	switch verified := c["email_verified"].(type) {
	case nil:
		return true
	case bool:
		return verified
	case string:
		return verified == "true"
	}
	return false
}

// groups are those of a claim: a list of texts, or one text. The error is a *LoginError.
func (c claimSet) groups(claim string) ([]string, error) {
	wrong := func(what string) error {
		return refusedLogin("the issuer tells your groups in a form that is not possible here: its claim %s %s; ask an administrator of this registry to look at oidc.groupsClaim", claim, what)
	}
	switch value := c[claim].(type) {
	case nil:
		// OpenID Connect Core 1.0, §5.6.2: what is asked for elsewhere is in no token.
		if elsewhere, _ := c["_claim_names"].(map[string]any); elsewhere[claim] != nil {
			return nil, refusedLogin("the issuer has your groups told by another server, which is not asked here, as Entra ID does for people in more than 200: ask whoever runs it to put only the groups into the token that this registry needs")
		}
		return nil, nil
	case string:
		return []string{value}, nil
	case []any:
		if len(value) > maxGroups {
			return nil, wrong(fmt.Sprintf("has %d groups, and %d is the most", len(value), maxGroups))
		}
		all := make([]string, 0, len(value))
		for _, one := range value {
			group, ok := one.(string)
			if !ok {
				return nil, wrong("has something else than names")
			}
			all = append(all, group)
		}
		return all, nil
	}
	return nil, wrong("is no list of names")
}

// printable tells whether a text holds nothing that steers terminals.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}
