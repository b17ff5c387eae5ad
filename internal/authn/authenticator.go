package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"

	"github.com/larder-registry/larder/internal/metadata"
)

// Errors by which a credential is refused. Any other error is a fault of the
// registry's own and says nothing about the credential.
var (
	// ErrInvalidCredentials is returned for an unknown user, a wrong password and
	// an access token used as a password that is no longer good: nobody learns which.
	ErrInvalidCredentials = errors.New("the user name or the password is wrong, or the access token has expired or was revoked")
	// ErrTokenExpired is returned for a token that was good until its time was over.
	ErrTokenExpired = errors.New("the token has expired")
	// ErrTokenInvalid is returned for a token that this registry did not issue,
	// and for one whose password or access token has been changed or revoked.
	ErrTokenInvalid = errors.New("the token is not valid here, or it was revoked")
	// ErrNoPassword is returned where an account is to get a password that logs in by
	// token or elsewhere.
	ErrNoPassword = errors.New("this account logs in without a password")
)

// Users keeps the accounts.
type Users interface {
	Create(ctx context.Context, user metadata.User) error
	Get(ctx context.Context, name string) (metadata.User, error)
	SetPassword(ctx context.Context, name, hash string) error
}

// Tokens keeps the access tokens, by the SHA-256 of their secret.
type Tokens interface {
	Create(ctx context.Context, token metadata.Token) error
	ByHash(ctx context.Context, hash []byte) (metadata.Token, error)
	Get(ctx context.Context, id string) (metadata.Token, error)
	Delete(ctx context.Context, id string) error
	Used(ctx context.Context, at map[string]time.Time) error
}

// Keys keeps the keys that sign registry tokens.
type Keys interface {
	Add(ctx context.Context, key metadata.SigningKey) error
	All(ctx context.Context) ([]metadata.SigningKey, error)
}

// Config is what an Authenticator stands on.
type Config struct {
	Users  Users
	Tokens Tokens
	Keys   Keys
	// Issuer names this registry in the tokens that it issues, as their issuer and
	// their audience.
	Issuer string
	// CI are the rules by which the tokens of pipelines are trusted.
	CI []CIRule
	// Changes tells when another process has changed a credential; nil means that
	// there is none.
	Changes func() metadata.Mark
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Authenticator tells who a caller is. It is safe for concurrent use, and one
// process has one of them: changes made through it count from the next request on.
type Authenticator struct {
	users     Users
	tokens    Tokens
	issuer    string
	now       func() time.Time
	passwords *passwords
	attempts  *attempts
	keys      *keyRing
	parser    *jwt.Parser

	uses *uses
	ci   []ciRule

	// changes counts changes of accounts made in this process, and others tells of those
	// that were made elsewhere.
	changes      atomic.Int64
	others       func() metadata.Mark
	recentUsers  *recent[string, metadata.User]
	recentTokens *recent[string, metadata.Token]
	recentHashes *recent[[sha256.Size]byte, metadata.Token]
	// verified holds registry tokens by their SHA-256, so that none lies about in memory.
	verified *otter.Cache[[sha256.Size]byte, *claims]
}

// New returns an Authenticator. It asks the stores nothing yet.
func New(c Config) (*Authenticator, error) {
	if c.Users == nil || c.Tokens == nil || c.Keys == nil || c.Issuer == "" {
		return nil, errors.New("an authenticator needs users, tokens, keys and an issuer")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Changes == nil {
		c.Changes = func() metadata.Mark { return 0 }
	}
	a := &Authenticator{
		uses:  newUses(),
		users: c.Users, tokens: c.Tokens, issuer: c.Issuer, now: c.Now,
		keys: newKeyRing(c.Keys, c.Now, c.Changes), others: c.Changes,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithIssuer(c.Issuer),
			jwt.WithAudience(c.Issuer),
			jwt.WithExpirationRequired(),
			jwt.WithStrictDecoding(),
			jwt.WithTimeFunc(c.Now),
		),
	}
	a.trustCI(c.CI)
	var err error
	if a.passwords, err = newPasswords(c.Now); err != nil {
		return nil, err
	}
	if a.attempts, err = newAttempts(c.Now); err != nil {
		return nil, err
	}
	if a.verified, err = newCache[[sha256.Size]byte, *claims](); err != nil {
		return nil, err
	}
	if a.recentUsers, err = newRecent[string, metadata.User](c.Now, a.epoch); err != nil {
		return nil, err
	}
	if a.recentTokens, err = newRecent[string, metadata.Token](c.Now, a.epoch); err != nil {
		return nil, err
	}
	if a.recentHashes, err = newRecent[[sha256.Size]byte, metadata.Token](c.Now, a.epoch); err != nil {
		return nil, err
	}
	return a, nil
}

// Forget has everything about accounts read anew. Whoever changes users, groups or
// service accounts in the stores, and not through an Authenticator, calls it afterwards.
func (a *Authenticator) Forget() { a.changes.Add(1) }

func (a *Authenticator) epoch() epoch { return epoch{own: a.changes.Load(), others: a.others()} }

func (a *Authenticator) user(ctx context.Context, name string) (metadata.User, error) {
	u, err := a.recentUsers.get(name, func() (metadata.User, error) { return a.users.Get(ctx, name) })
	if err != nil {
		return metadata.User{}, fmt.Errorf("reading user %q: %w", name, err)
	}
	return u, nil
}
