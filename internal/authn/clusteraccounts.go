package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/larder-registry/larder/internal/metadata"
)

// ClusterAccounts is an Authenticator that also takes the tokens of a cluster's service
// accounts, each for the service account of the same name here, whose rights are kept here.
// No other user of the cluster is known by a token: a name there is none here.
type ClusterAccounts struct {
	*Authenticator
	cluster *Cluster
}

// WithServiceAccounts returns own together with the service accounts of a cluster.
func WithServiceAccounts(own *Authenticator, reviewer TokenReviewer) (*ClusterAccounts, error) {
	cluster, err := WithCluster(own, reviewer)
	if err != nil {
		return nil, err
	}
	return &ClusterAccounts{Authenticator: own, cluster: cluster}, nil
}

// Basic is Cluster.Basic.
func (c *ClusterAccounts) Basic(ctx context.Context, user, password string, from netip.Addr) (Identity, Credential, error) {
	if c.cluster.foreign(password) {
		id, credential, err := c.review(ctx, password)
		if !errors.Is(err, ErrTokenInvalid) && !errors.Is(err, ErrTokenExpired) {
			return id, credential, err
		}
	}
	return c.Authenticator.Basic(ctx, user, password, from)
}

// Verify is Cluster.Verify.
func (c *ClusterAccounts) Verify(ctx context.Context, token string) (Identity, []Access, error) {
	id, access, err := c.Authenticator.Verify(ctx, token)
	if !errors.Is(err, ErrTokenInvalid) || !c.cluster.foreign(token) {
		return id, access, err
	}
	if id, _, err = c.review(ctx, token); err != nil {
		return Identity{}, nil, err
	}
	return id, Everything(), nil
}

// AccessToken is Cluster.AccessToken.
func (c *ClusterAccounts) AccessToken(ctx context.Context, secret string) (Identity, Credential, error) {
	if c.cluster.foreign(secret) {
		return c.review(ctx, secret)
	}
	return c.Authenticator.AccessToken(ctx, secret)
}

// review tells whose a service account's token is, as it is known here. It can only read:
// it is for pods that pull.
func (c *ClusterAccounts) review(ctx context.Context, token string) (Identity, Credential, error) {
	user, credential, err := c.cluster.owner(ctx, token)
	if err != nil {
		return Identity{}, Credential{}, err
	}
	project, _, is := ParseServiceAccount(user.Name)
	if !is {
		return Identity{}, Credential{}, fmt.Errorf("%w: %s of the cluster is no service account", ErrTokenInvalid, user.Name)
	}
	known, err := c.user(ctx, user.Name)
	switch {
	case errors.Is(err, metadata.ErrNotFound):
		known = metadata.User{Name: user.Name, Project: project}
	case err != nil:
		return Identity{}, Credential{}, err
	case known.Disabled:
		return Identity{}, Credential{}, fmt.Errorf("%w: %s is disabled here", ErrTokenInvalid, user.Name)
	}
	credential.User = known.Name
	return c.loggedIn(known, &Cap{Scopes: []Scope{ScopeRead}}), credential, nil
}
