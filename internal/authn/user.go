package authn

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-registry/larder/internal/metadata"
)

// madePassword is the length of a password that nobody chose, in characters.
const madePassword = 24

// EnsureAdmin creates the user admin unless there is one, with the password given
// or, when that is empty, with one that it makes and returns: it is kept nowhere
// in the clear. When admin was there already nothing changes and made is empty.
func (a *Authenticator) EnsureAdmin(ctx context.Context, password string) (made string, err error) {
	_, err = a.users.Get(ctx, UserAdmin)
	if err == nil {
		return "", nil
	}
	if !errors.Is(err, metadata.ErrNotFound) {
		return "", fmt.Errorf("looking for the user %s: %w", UserAdmin, err)
	}
	hash, made, err := a.newPassword(ctx, password)
	if err != nil {
		return "", fmt.Errorf("creating the user %s: %w", UserAdmin, err)
	}
	err = a.users.Create(ctx, metadata.User{Name: UserAdmin, PasswordHash: hash, Generation: 1, CreatedAt: a.now().UTC()})
	if errors.Is(err, metadata.ErrExists) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("creating the user %s: %w", UserAdmin, err)
	}
	return made, nil
}

// SetPassword gives a user a new password: the one given or, when that is empty,
// one that it makes and returns. The old password and the registry tokens made
// from it are refused from the next request on; access tokens stay good. The
// error wraps metadata.ErrNotFound when there is no such user, and ErrNoPassword when it
// logs in without one.
func (a *Authenticator) SetPassword(ctx context.Context, user, password string) (made string, err error) {
	u, err := a.users.Get(ctx, user)
	if err != nil {
		return "", fmt.Errorf("setting the password of %q: %w", user, err)
	}
	if u.Project != "" || u.Issuer != "" {
		return "", fmt.Errorf("setting the password of %q: %w", user, ErrNoPassword)
	}
	hash, made, err := a.newPassword(ctx, password)
	if err != nil {
		return "", fmt.Errorf("setting the password of %q: %w", user, err)
	}
	err = a.users.SetPassword(ctx, user, hash)
	a.Forget() // also after an error: the change may have been made all the same
	if err != nil {
		return "", fmt.Errorf("setting the password of %q: %w", user, err)
	}
	return made, nil
}

// newPassword hashes the password given or, when that is empty, one that it makes.
func (a *Authenticator) newPassword(ctx context.Context, password string) (hash, made string, err error) {
	if password == "" {
		made = randomString(readable, madePassword)
		password = made
	}
	hash, err = a.passwords.hash(ctx, password)
	return hash, made, err
}
