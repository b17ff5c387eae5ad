package kube

import (
	"context"
	"errors"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PullSecret is a Secret of the type kubernetes.io/dockerconfigjson.
type PullSecret struct {
	Namespace, Name     string
	Labels, Annotations map[string]string
	// Owner is the service account with which the cluster removes it.
	Owner ServiceAccount
	// Config is the file in Docker's form that it holds.
	Config []byte
	// UID is empty for one that is not there yet.
	UID     string
	version string
}

// PullSecret reads one. The error is ErrNoObject where there is none.
func (c *Cluster) PullSecret(ctx context.Context, namespace, name string) (PullSecret, error) {
	var read core.Secret
	if err := c.Get(ctx, namespaced(namespace, "secrets", name), &read); err != nil {
		return PullSecret{}, err
	}
	return pullSecretOf(read), nil
}

func pullSecretOf(s core.Secret) PullSecret {
	secret := PullSecret{
		Namespace: s.Namespace, Name: s.Name, Labels: s.Labels, Annotations: s.Annotations,
		Config: s.Data[core.DockerConfigJsonKey], UID: string(s.UID), version: s.ResourceVersion,
	}
	for _, owner := range s.OwnerReferences {
		if owner.Kind == "ServiceAccount" {
			secret.Owner = ServiceAccount{Namespace: s.Namespace, Name: owner.Name, UID: string(owner.UID)}
		}
	}
	return secret
}

// PutPullSecret writes one that was read, or makes one that was not there, and returns it as
// it is then. The error is ErrChanged when somebody else was faster.
func (c *Cluster) PutPullSecret(ctx context.Context, s PullSecret) (PullSecret, error) {
	secret := core.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Name, Namespace: s.Namespace, ResourceVersion: s.version, Labels: s.Labels, Annotations: s.Annotations,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ServiceAccount", Name: s.Owner.Name, UID: types.UID(s.Owner.UID)}},
		},
		Type: core.SecretTypeDockerConfigJson, Data: map[string][]byte{core.DockerConfigJsonKey: s.Config},
	}
	var (
		written core.Secret
		err     error
	)
	if s.version == "" {
		err = c.Create(ctx, namespaced(s.Namespace, "secrets", ""), secret, &written)
	} else {
		err = c.Merge(ctx, namespaced(s.Namespace, "secrets", s.Name), secret, &written)
	}
	return pullSecretOf(written), err
}

// DeletePullSecret removes one that was read. It is no error when it is gone already.
func (c *Cluster) DeletePullSecret(ctx context.Context, s PullSecret) error {
	err := c.Delete(ctx, namespaced(s.Namespace, "secrets", s.Name))
	if errors.Is(err, ErrNoObject) {
		return nil
	}
	return err
}

// AccountToken makes a token of a service account that dies with a pull secret (TokenRequest).
// Without an audience it is meant for the API server itself. The API server may make it
// shorter or longer than asked.
func (c *Cluster) AccountToken(ctx context.Context, a ServiceAccount, with PullSecret, audience string, life time.Duration) (token string, expires time.Time, err error) {
	seconds := int64(life / time.Second)
	asked := authentication.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: authentication.SchemeGroupVersion.String(), Kind: "TokenRequest"},
		Spec: authentication.TokenRequestSpec{
			ExpirationSeconds: &seconds,
			BoundObjectRef:    &authentication.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: with.Name, UID: types.UID(with.UID)},
		},
	}
	if audience != "" {
		asked.Spec.Audiences = []string{audience}
	}
	var made authentication.TokenRequest
	err = c.Create(ctx, namespaced(a.Namespace, "serviceaccounts", a.Name)+"/token", asked, &made)
	return made.Status.Token, made.Status.ExpirationTimestamp.Time, err
}
