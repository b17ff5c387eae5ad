package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// Credential refers to what proved an identity, and holds no secret. What is made
// from a credential dies with it.
type Credential struct {
	User string
	// TokenID is the access token's, empty when a password was shown.
	TokenID string
	// Generation counts the changes of the user's password.
	Generation int64
	// Reviewed says that the token of a cluster was shown, which is kept there alone.
	Reviewed bool
	// ExpiresAt is the token's; zero, as a password's is, means never.
	ExpiresAt time.Time
}

// Token tells whether a token was shown and no password: it stands for itself where
// another one would be made of it, so that none outlives the one that it came from.
func (c Credential) Token() bool { return c.TokenID != "" || c.Reviewed }

// Basic tells who shows a user name and a password (RFC 7617). An access token
// passes for the password, and so does the token of a pipeline that is trusted, then with
// any user name. The error is ErrInvalidCredentials
// when they are refused, or an *AttemptsError after too many wrong passwords from an
// address.
func (a *Authenticator) Basic(ctx context.Context, user, password string, from netip.Addr) (Identity, Credential, error) {
	if isAccessToken(password) {
		id, c, err := a.AccessToken(ctx, password)
		if errors.Is(err, ErrTokenInvalid) || errors.Is(err, ErrTokenExpired) {
			err = ErrInvalidCredentials
		}
		return id, c, err
	}
	if a.isCI(password) {
		id, c, err := a.CIToken(ctx, password)
		if errors.Is(err, ErrTokenInvalid) || errors.Is(err, ErrTokenExpired) {
			err = fmt.Errorf("%w: %w", ErrInvalidCredentials, err)
		}
		return id, c, err
	}
	u, err := a.user(ctx, user)
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return Identity{}, Credential{}, err
	}
	if u.Disabled {
		u.PasswordHash = "" // so that it takes as long as for a user that there is not
	}
	if err := a.compare(ctx, user, u, password, from); err != nil {
		return Identity{}, Credential{}, err
	}
	return a.loggedIn(u, nil), Credential{User: u.Name, Generation: u.Generation}, nil
}

// compare compares a password with that of u, which may be nobody. One that was verified
// lately is no attempt: nobody locks its owner out. After a start a whole cluster may come
// with one password at once: whoever had to wait for a turn looks again, and has not
// counted as an attempt meanwhile.
func (a *Authenticator) compare(ctx context.Context, user string, u metadata.User, password string, from netip.Addr) error {
	if a.passwords.verifiedLately(u.Generation, u.PasswordHash, password) {
		return nil
	}
	if len(password) > maxPassword {
		return ErrInvalidCredentials
	}
	if err := checkHash(u.PasswordHash); err != nil {
		return err
	}
	release, err := a.passwords.turn(ctx)
	if err != nil {
		return err
	}
	defer release()
	if a.passwords.verifiedLately(u.Generation, u.PasswordHash, password) {
		return nil
	}
	forgive, err := a.attempts.begin(user, from)
	if err != nil {
		return err
	}
	ok, err := a.passwords.matches(u.Generation, u.PasswordHash, password)
	if ok || err != nil {
		forgive()
	}
	if err == nil && !ok {
		err = ErrInvalidCredentials
	}
	return err
}

// check tells whose c is, if it would still be accepted, and what it is limited to now.
// The error is ErrTokenInvalid or ErrTokenExpired when it would not be.
func (a *Authenticator) check(ctx context.Context, c Credential) (Identity, error) {
	u, err := a.user(ctx, c.User)
	if errors.Is(err, metadata.ErrNotFound) {
		return Identity{}, ErrTokenInvalid
	}
	if err != nil {
		return Identity{}, err
	}
	if u.Disabled {
		return Identity{}, ErrTokenInvalid
	}
	if c.TokenID != "" {
		limit, err := a.checkToken(ctx, c)
		if err != nil {
			return Identity{}, err
		}
		return a.loggedIn(u, limit), nil
	}
	if u.Generation != c.Generation {
		return Identity{}, ErrTokenInvalid
	}
	return a.loggedIn(u, nil), nil
}
