package authn

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/larder-registry/larder/internal/metadata"
)

// CIRule trusts some of the tokens that an issuer gives to the jobs of a pipeline: whoever
// shows one is the account User.
type CIRule struct {
	Issuer, Audience string
	// Claims must all be in the token, with values that match these patterns as path.Match
	// does: * is any part between two slashes.
	Claims map[string]string
	// User is the account, as a rule a service account.
	User string
	// Authorities are trusted for the issuer beside the system's; nil: none.
	Authorities *x509.CertPool
}

// ciRule is a rule and who verifies its tokens.
type ciRule struct {
	CIRule
	issuer *issuer
}

// trustCI shares an issuer among the rules that name it alike.
func (a *Authenticator) trustCI(rules []CIRule) {
	issuers := map[string]*issuer{}
	for _, r := range rules {
		if issuers[r.Issuer] == nil {
			issuers[r.Issuer] = newIssuer(r.Issuer, r.Authorities, a.now)
		}
		a.ci = append(a.ci, ciRule{CIRule: r, issuer: issuers[r.Issuer]})
	}
}

// isCI tells by its form and its issuer whether s may be the token of a pipeline. People's
// passwords do not look so.
func (a *Authenticator) isCI(s string) bool {
	if len(a.ci) == 0 {
		return false
	}
	issuer, ok := issuerOf(s)
	if !ok {
		return false
	}
	for _, rule := range a.ci {
		if rule.Issuer == issuer {
			return true
		}
	}
	return false
}

// CIToken tells as which account a pipeline works that shows its issuer's token. The first
// rule that fits decides. What is made of the credential does not outlive the token. The
// error wraps ErrTokenInvalid or ErrTokenExpired when it is refused.
func (a *Authenticator) CIToken(ctx context.Context, token string) (Identity, Credential, error) {
	from, _ := issuerOf(token)
	refused := fmt.Errorf("%w: no rule trusts it", ErrTokenInvalid)
	for _, rule := range a.ci {
		if rule.Issuer != from {
			continue
		}
		id, c, err := a.ciToken(ctx, rule, token)
		if err == nil {
			return id, c, nil
		}
		if !errors.Is(err, ErrTokenInvalid) {
			return Identity{}, Credential{}, err
		}
		refused = err
	}
	return Identity{}, Credential{}, refused
}

func (a *Authenticator) ciToken(ctx context.Context, rule ciRule, token string) (Identity, Credential, error) {
	verified, err := rule.issuer.verify(ctx, token, rule.Audience)
	if err != nil {
		return Identity{}, Credential{}, err
	}
	claims, err := claimsOf(verified)
	if err != nil {
		return Identity{}, Credential{}, fmt.Errorf("%w: %w", ErrTokenInvalid, err)
	}
	if claim, ok := rule.fits(claims); !ok {
		return Identity{}, Credential{}, fmt.Errorf("%w: its claim %s is not one that the rule for %s trusts", ErrTokenInvalid, claim, rule.User)
	}
	u, err := a.user(ctx, rule.User)
	if errors.Is(err, metadata.ErrNotFound) || err == nil && u.Disabled {
		return Identity{}, Credential{}, fmt.Errorf("%w: the account %s does not exist or is disabled", ErrTokenInvalid, rule.User)
	}
	if err != nil {
		return Identity{}, Credential{}, err
	}
	return a.loggedIn(u, nil), Credential{User: u.Name, Generation: u.Generation, ExpiresAt: verified.Expiry}, nil
}

// claimsOf reads a token's claims. Numbers stay as they are written: an ID has more digits
// than a float64 can tell apart.
func claimsOf(token *oidc.IDToken) (map[string]any, error) {
	var text json.RawMessage
	if err := token.Claims(&text); err != nil {
		return nil, err
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err := decoder.Decode(&claims)
	return claims, err
}

// fits tells whether all claims are as the rule has them, and otherwise which is not.
func (r CIRule) fits(claims map[string]any) (claim string, ok bool) {
	for name, pattern := range r.Claims {
		if !claimMatches(claims[name], pattern) {
			return name, false
		}
	}
	return "", true
}

// claimMatches compares text, numbers and truth values, and lists of them of which one has
// to match.
func claimMatches(claim any, pattern string) bool {
	switch value := claim.(type) {
	case string:
		matched, err := path.Match(pattern, value)
		return err == nil && matched
	case bool, json.Number:
		return fmt.Sprint(value) == pattern
	case []any:
		for _, one := range value {
			if _, nested := one.([]any); !nested && claimMatches(one, pattern) {
				return true
			}
		}
	}
	return false
}
