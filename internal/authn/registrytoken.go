package authn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxRegistryToken is the longest token that is looked at, in bytes; 64 scopes
// with the longest names fit.
const maxRegistryToken = 64 << 10

// claims are those of Docker's token specification, and the credential that the
// token dies with; a stranger's token has none.
type claims struct {
	jwt.RegisteredClaims
	Access     []Access         `json:"access"`
	Credential *credentialClaim `json:"credential,omitempty"`
}

type credentialClaim struct {
	TokenID    string `json:"token,omitempty"`
	Generation int64  `json:"generation,omitempty"`
}

// Issue signs a registry token (Docker's token service) that says who id is and
// caps what the bearer can ask for at access. It is good for life, and not longer
// than c. A stranger's token has no subject and no credential.
func (a *Authenticator) Issue(ctx context.Context, id Identity, c Credential, access []Access, life time.Duration) (token string, expires time.Time, err error) {
	key, err := a.keys.newest(ctx)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issuing a registry token: %w", err)
	}
	now := a.now().UTC().Truncate(time.Second)
	expires = now.Add(life)
	cl := claims{Access: access}
	if cl.Access == nil {
		cl.Access = []Access{}
	}
	if !id.Anonymous() {
		if c.User != id.User {
			return "", time.Time{}, fmt.Errorf("issuing a registry token: the credential is not that of %q", id.User)
		}
		if !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(expires) {
			expires = c.ExpiresAt.UTC().Truncate(time.Second)
		}
		cl.Subject = id.User
		cl.Credential = &credentialClaim{TokenID: c.TokenID, Generation: c.Generation}
	}
	cl.Issuer, cl.Audience, cl.ID = a.issuer, jwt.ClaimStrings{a.issuer}, rand.Text()
	cl.IssuedAt, cl.NotBefore, cl.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now), jwt.NewNumericDate(expires)

	unsigned := jwt.NewWithClaims(jwt.SigningMethodHS256, cl)
	unsigned.Header["kid"] = key.ID
	token, err = unsigned.SignedString(key.Secret)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("signing a registry token: %w", err)
	}
	return token, expires, nil
}

// Verify tells who shows a bearer token and what it is capped at. An access token
// is accepted as it is and capped at nothing (Everything) but its own Cap. Whether the
// credential behind a registry token is still good, and what it is limited to, is asked
// at each call. The error is
// ErrTokenExpired or ErrTokenInvalid when the token is refused.
func (a *Authenticator) Verify(ctx context.Context, token string) (Identity, []Access, error) {
	if isAccessToken(token) {
		id, _, err := a.AccessToken(ctx, token)
		if err != nil {
			return Identity{}, nil, err
		}
		return id, Everything(), nil
	}
	cl, err := a.claims(ctx, token)
	if err != nil {
		return Identity{}, nil, err
	}
	if cl.Subject == "" {
		return Anonymous(), cl.Access, nil
	}
	c := Credential{User: cl.Subject, TokenID: cl.Credential.TokenID, Generation: cl.Credential.Generation}
	id, err := a.check(ctx, c)
	if err != nil {
		return Identity{}, nil, err
	}
	return id, cl.Access, nil
}

// claims verifies the signature and the times of a registry token; the signature
// once only while the token is remembered.
func (a *Authenticator) claims(ctx context.Context, token string) (*claims, error) {
	if len(token) > maxRegistryToken {
		return nil, ErrTokenInvalid
	}
	key := sha256.Sum256([]byte(token))
	if cl, ok := a.verified.GetIfPresent(key); ok {
		if !a.now().Before(cl.ExpiresAt.Time) {
			return nil, ErrTokenExpired
		}
		return cl, nil
	}
	cl := new(claims)
	var keyErr error
	_, err := a.parser.ParseWithClaims(token, cl, func(t *jwt.Token) (any, error) {
		id, ok := t.Header["kid"].(string)
		if !ok {
			return nil, ErrTokenInvalid
		}
		var secret []byte
		secret, keyErr = a.keys.find(ctx, id)
		return secret, keyErr
	})
	switch {
	case keyErr != nil && !errors.Is(keyErr, ErrTokenInvalid):
		return nil, fmt.Errorf("verifying a registry token: %w", keyErr)
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, ErrTokenExpired
	case err != nil, cl.Subject != "" && cl.Credential == nil:
		return nil, ErrTokenInvalid
	}
	a.verified.Set(key, cl)
	return cl, nil
}
