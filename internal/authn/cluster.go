package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// openShiftPrefix begins the access tokens of OpenShift's users.
	openShiftPrefix = "sha256~"
	// maxClusterToken is the longest token that a cluster is asked about, in bytes.
	maxClusterToken = 16 << 10
)

// TokenReviewer asks a cluster whose a token is. Its error is kube.ErrTokenRefused, or a
// *kube.UnansweredError when nobody can tell.
type TokenReviewer interface {
	ReviewToken(ctx context.Context, token string) (kube.User, error)
}

// UnknownError says that nobody can tell who the caller is: the credential is neither
// good nor refused.
type UnknownError struct {
	// Reason is told to the caller, and holds nothing that is not for everyone.
	Reason string
	// Err is the cause, for the log.
	Err error
}

func (e *UnknownError) Error() string { return e.Public() + ": " + e.Err.Error() }

// Public is what the caller is told.
func (e *UnknownError) Public() string {
	return "who you are cannot be found out now: " + e.Reason + "; try again"
}

func (e *UnknownError) Unwrap() error { return e.Err }

// Cluster is an Authenticator that also knows whom the tokens of a Kubernetes cluster
// belong to: service accounts, and the users of a cluster that gives them tokens. Nobody
// is known by such a token longer than the cluster says so, therefore it stands for
// itself wherever a registry token or a refresh token would be made of it.
type Cluster struct {
	*Authenticator
	reviewer TokenReviewer
	taken    *recent[string, bool] // the names of the cluster's users that are those of accounts here
}

// WithCluster returns own together with a cluster.
func WithCluster(own *Authenticator, reviewer TokenReviewer) (*Cluster, error) {
	taken, err := newRecent[string, bool](own.now, own.epoch)
	if err != nil {
		return nil, err
	}
	return &Cluster{Authenticator: own, reviewer: reviewer, taken: taken}, nil
}

// Basic tells who shows a user name and a password. A token of the cluster passes for the
// password, then with any user name. The error is ErrInvalidCredentials when they are
// refused, or an *UnknownError.
func (c *Cluster) Basic(ctx context.Context, user, password string, from netip.Addr) (Identity, Credential, error) {
	if c.foreign(password) {
		id, credential, err := c.review(ctx, password)
		if !errors.Is(err, ErrTokenInvalid) && !errors.Is(err, ErrTokenExpired) {
			return id, credential, err
		}
	}
	return c.Authenticator.Basic(ctx, user, password, from)
}

// Verify tells who shows a bearer token and what it is capped at; a token of the cluster
// at nothing (Everything).
func (c *Cluster) Verify(ctx context.Context, token string) (Identity, []Access, error) {
	id, access, err := c.Authenticator.Verify(ctx, token)
	if !errors.Is(err, ErrTokenInvalid) || !c.foreign(token) {
		return id, access, err
	}
	if id, _, err = c.review(ctx, token); err != nil {
		return Identity{}, nil, err
	}
	return id, Everything(), nil
}

// AccessToken tells whose an access token is, or a token of the cluster.
func (c *Cluster) AccessToken(ctx context.Context, secret string) (Identity, Credential, error) {
	if c.foreign(secret) {
		return c.review(ctx, secret)
	}
	return c.Authenticator.AccessToken(ctx, secret)
}

// foreign tells by its form alone whether s may be a token of the cluster. People's
// passwords do not look so, and none is sent there.
func (c *Cluster) foreign(s string) bool {
	if len(s) > maxClusterToken || isAccessToken(s) || c.isCI(s) {
		return false
	}
	if strings.HasPrefix(s, openShiftPrefix) {
		return true
	}
	claims, ok := unverified(s)
	return ok && claims.Issuer != c.issuer
}

// unverified reads the claims of a JSON Web Token without a look at its signature: who
// decides by them has it verified too.
func unverified(token string) (jwt.RegisteredClaims, bool) {
	var claims jwt.RegisteredClaims
	_, _, err := jwt.NewParser().ParseUnverified(token, &claims)
	return claims, err == nil
}

func (c *Cluster) review(ctx context.Context, token string) (Identity, Credential, error) {
	user, credential, err := c.owner(ctx, token)
	if err != nil {
		return Identity{}, Credential{}, err
	}
	if err := c.distinct(ctx, user.Name); err != nil {
		return Identity{}, Credential{}, err
	}
	return Identity{User: user.Name, Groups: user.Groups, UID: user.UID, Extra: user.Extra}, credential, nil
}

// owner is the cluster's user whose a token is. The error is ErrTokenInvalid,
// ErrTokenExpired or an *UnknownError.
func (c *Cluster) owner(ctx context.Context, token string) (kube.User, Credential, error) {
	credential := Credential{Reviewed: true}
	if claims, ok := unverified(token); ok && claims.ExpiresAt != nil {
		// While the cluster does not answer, only the token itself tells that it is over.
		credential.ExpiresAt = claims.ExpiresAt.Time
		if !c.now().Before(credential.ExpiresAt) {
			return kube.User{}, Credential{}, ErrTokenExpired
		}
	}
	user, err := c.reviewer.ReviewToken(ctx, token)
	if silence, ok := errors.AsType[*kube.UnansweredError](err); ok {
		return kube.User{}, Credential{}, &UnknownError{Reason: silence.Public, Err: err}
	}
	if errors.Is(err, kube.ErrTokenRefused) {
		return kube.User{}, Credential{}, ErrTokenInvalid
	}
	if err != nil {
		return kube.User{}, Credential{}, fmt.Errorf("having a token reviewed: %w", err)
	}
	credential.User = user.Name
	return user, credential, nil
}

// distinct keeps a name from meaning two: whoever is called like an account that is kept
// here would be taken for it, the admin's as well. The error is ErrTokenInvalid.
func (c *Cluster) distinct(ctx context.Context, name string) error {
	taken, err := c.taken.get(name, func() (bool, error) {
		_, err := c.users.Get(ctx, name)
		if errors.Is(err, metadata.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("looking for an account called like the cluster's user %q: %w", name, err)
	}
	if taken {
		return fmt.Errorf("%w: the cluster's user %s is called like an account of this registry", ErrTokenInvalid, name)
	}
	return nil
}
