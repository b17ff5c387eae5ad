package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// An access token is the prefix, by which secret scanners and people know it, 30
// random characters (178 bits), and a checksum of 6, by which scanners tell it
// from look-alikes without asking anybody.
const (
	tokenPrefix   = "larder_"
	tokenRandom   = 30
	tokenChecksum = 6
	tokenID       = 16
)

// NewToken asks for an access token.
type NewToken struct {
	User              string
	Name, Description string
	// Cap is what it is limited to; nil: all that the user may do.
	Cap *Cap
	// Life is how long it is good, above zero.
	Life time.Duration
}

// CreateToken makes an access token. The secret is returned here and never again: only
// its SHA-256 is kept. The error wraps metadata.ErrNotFound when there is no such user.
func (a *Authenticator) CreateToken(ctx context.Context, n NewToken) (secret string, token metadata.Token, err error) {
	if n.Life <= 0 {
		return "", metadata.Token{}, fmt.Errorf("creating an access token for %q: a life of %s is not possible, it must be above zero", n.User, n.Life)
	}
	if _, err := a.users.Get(ctx, n.User); err != nil {
		return "", metadata.Token{}, fmt.Errorf("creating an access token for %q: %w", n.User, err)
	}
	body := randomString(base62, tokenRandom)
	secret = tokenPrefix + body + checksum(body)
	hash := sha256.Sum256([]byte(secret))
	now := a.now().UTC()
	token = metadata.Token{
		ID: randomString(base62, tokenID), Hash: hash[:], User: n.User, Name: n.Name, Description: n.Description,
		CreatedAt: now, ExpiresAt: now.Add(n.Life),
	}
	token.Scopes, token.Targets = n.Cap.words()
	if err := a.tokens.Create(ctx, token); err != nil {
		return "", metadata.Token{}, fmt.Errorf("creating an access token for %q: %w", n.User, err)
	}
	return secret, token, nil
}

// RevokeToken deletes an access token: it and the registry tokens made from it are
// refused from the next request on. The error wraps metadata.ErrNotFound when
// there is no such token.
func (a *Authenticator) RevokeToken(ctx context.Context, id string) error {
	err := a.tokens.Delete(ctx, id)
	a.Forget() // also after an error: the change may have been made all the same
	if err != nil {
		return fmt.Errorf("revoking access token %q: %w", id, err)
	}
	return nil
}

// AccessToken tells whose access token secret is. The error is ErrTokenInvalid or
// ErrTokenExpired when it is refused.
func (a *Authenticator) AccessToken(ctx context.Context, secret string) (Identity, Credential, error) {
	if !isAccessToken(secret) {
		return Identity{}, Credential{}, ErrTokenInvalid
	}
	hash := sha256.Sum256([]byte(secret))
	t, err := a.recentHashes.get(hash, func() (metadata.Token, error) { return a.tokens.ByHash(ctx, hash[:]) })
	if errors.Is(err, metadata.ErrNotFound) {
		return Identity{}, Credential{}, ErrTokenInvalid
	}
	if err != nil {
		return Identity{}, Credential{}, fmt.Errorf("reading an access token: %w", err)
	}
	c := Credential{User: t.User, TokenID: t.ID, ExpiresAt: t.ExpiresAt}
	id, err := a.check(ctx, c)
	if err != nil {
		return Identity{}, Credential{}, err
	}
	return id, c, nil
}

// checkToken tells what an access token is limited to, and notes that it is used.
func (a *Authenticator) checkToken(ctx context.Context, c Credential) (*Cap, error) {
	t, err := a.recentTokens.get(c.TokenID, func() (metadata.Token, error) { return a.tokens.Get(ctx, c.TokenID) })
	switch {
	case errors.Is(err, metadata.ErrNotFound):
		return nil, ErrTokenInvalid
	case err != nil:
		return nil, fmt.Errorf("reading access token %q: %w", c.TokenID, err)
	case t.User != c.User:
		return nil, ErrTokenInvalid
	case !t.ExpiresAt.IsZero() && !a.now().Before(t.ExpiresAt):
		return nil, ErrTokenExpired
	}
	a.uses.note(t.ID, a.now())
	return capOf(t.Scopes, t.Targets), nil
}

// isAccessToken tells by its form alone whether s is an access token.
func isAccessToken(s string) bool {
	rest, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(rest) != tokenRandom+tokenChecksum {
		return false
	}
	return checksum(rest[:tokenRandom]) == rest[tokenRandom:]
}

// checksum is the CRC-32 (IEEE) of body in base 62, padded to 6 characters.
func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var out [tokenChecksum]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}
