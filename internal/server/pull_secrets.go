package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/pullsecrets"
)

// ownTokens are access tokens of service accounts that are kept here. One is made for each
// of the cluster's that has a project.
type ownTokens struct {
	who      *authn.Authenticator
	accounts *authn.Accounts
}

// Issue implements pullsecrets.Issuer.
func (o *ownTokens) Issue(ctx context.Context, a kube.ServiceAccount, _ kube.PullSecret, life time.Duration) (pullsecrets.Credential, error) {
	limit, err := authn.NewCap([]string{string(authn.ScopeRead)}, nil)
	if err != nil {
		return pullsecrets.Credential{}, err
	}
	asked := authn.NewToken{
		User: authn.ServiceAccount(a.Namespace, a.Name), Description: "pull secret in the cluster's namespace " + a.Namespace, Cap: limit, Life: life,
	}
	secret, token, err := o.who.CreateToken(ctx, asked)
	if errors.Is(err, metadata.ErrNotFound) {
		if err := o.account(ctx, a); err != nil {
			return pullsecrets.Credential{}, err
		}
		secret, token, err = o.who.CreateToken(ctx, asked)
	}
	return pullsecrets.Credential{ID: token.ID, Password: secret, ExpiresAt: token.ExpiresAt}, err
}

func (o *ownTokens) account(ctx context.Context, a kube.ServiceAccount) error {
	_, err := o.accounts.CreateServiceAccount(ctx, a.Namespace, a.Name)
	switch {
	case errors.Is(err, metadata.ErrExists):
		return nil // another replica was faster
	case errors.Is(err, metadata.ErrNotFound):
		return fmt.Errorf("this registry has no project %[1]s, in which the service accounts of namespace %[1]s could be: larder new-project %[1]s makes it", a.Namespace)
	}
	return err
}

// Revoke implements pullsecrets.Issuer.
func (o *ownTokens) Revoke(ctx context.Context, id string) error {
	if err := o.who.RevokeToken(ctx, id); err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return err
	}
	return nil
}

// clusterTokens are the cluster's own tokens, which die with the secret that they are in.
type clusterTokens struct {
	cluster   *kube.Cluster
	audiences []string
}

// Issue implements pullsecrets.Issuer.
func (c *clusterTokens) Issue(ctx context.Context, a kube.ServiceAccount, in kube.PullSecret, life time.Duration) (pullsecrets.Credential, error) {
	audience := ""
	if len(c.audiences) > 0 {
		audience = c.audiences[0] // one is enough
	}
	token, expires, err := c.cluster.AccountToken(ctx, a, in, audience, life)
	return pullsecrets.Credential{Password: token, ExpiresAt: expires}, err
}

// Revoke implements pullsecrets.Issuer.
func (*clusterTokens) Revoke(context.Context, string) error { return nil }
