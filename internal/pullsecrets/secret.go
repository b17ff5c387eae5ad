package pullsecrets

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
)

const (
	// managedBy marks, with the value manager, the secrets that are ours. No other is
	// changed or removed.
	managedBy = "app.kubernetes.io/managed-by"
	manager   = "larder"
	// What is said of a secret's credential.
	renewAt    = "larder.dev/renew-at" // when it is replaced, as RFC 3339 has it
	credential = "larder.dev/credential"

	// maxName bounds the name of a Secret, in bytes.
	maxName = 253
)

// SecretName is what the pull secret of a service account is called.
func SecretName(account string) string {
	name := mirror.OwnSecret + "-" + account
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(account))
	return mirror.OwnSecret + "-" + hex.EncodeToString(sum[:16])
}

// keep gives an account its secret, with a credential that lasts.
func (c *Controller) keep(ctx context.Context, a kube.ServiceAccount) error {
	if last, ok := c.seen[id(a)]; ok && last.version == a.Version && c.Now().Before(last.until) {
		return nil
	}
	secret, err := c.secret(ctx, a)
	if err != nil {
		return err
	}
	until, good := c.lasts(secret, a)
	if !good {
		if until, err = c.renew(ctx, a, secret); err != nil {
			return err
		}
	}
	if !slices.Contains(a.PullSecrets, secret.Name) || a.Labels[Label] != Kept {
		names := a.PullSecrets
		if !slices.Contains(names, secret.Name) {
			names = append(slices.Clone(names), secret.Name)
		}
		if a, err = c.Cluster.SetPullSecrets(ctx, a, names, Label, Kept); err != nil {
			return err
		}
	}
	c.seen[id(a)] = seen{version: a.Version, until: until}
	return nil
}

// secret reads an account's secret, or makes one that opens nothing yet: a credential may
// die with the secret that it is in, which has to be there before.
func (c *Controller) secret(ctx context.Context, a kube.ServiceAccount) (kube.PullSecret, error) {
	name := SecretName(a.Name)
	secret, err := c.Cluster.PullSecret(ctx, a.Namespace, name)
	if errors.Is(err, kube.ErrNoObject) {
		return c.Cluster.PutPullSecret(ctx, kube.PullSecret{
			Namespace: a.Namespace, Name: name, Owner: a, Labels: map[string]string{managedBy: manager}, Config: []byte(`{"auths":{}}`),
		})
	}
	if err == nil && !ours(secret) {
		err = fmt.Errorf("secret %s in namespace %s is somebody else's (it has no label %s=%s): rename or remove it", name, a.Namespace, managedBy, manager)
	}
	return secret, err
}

func ours(s kube.PullSecret) bool { return s.Labels[managedBy] == manager }

// lasts tells whether a secret's credential serves, and until when.
func (c *Controller) lasts(s kube.PullSecret, a kube.ServiceAccount) (until time.Time, good bool) {
	until, err := time.Parse(time.RFC3339, s.Annotations[renewAt])
	var file dockerConfig
	if err != nil || !c.Now().Before(until) || s.Owner.UID != a.UID || json.Unmarshal(s.Config, &file) != nil {
		return time.Time{}, false
	}
	_, ofHost := file.Auths[c.Host]
	return until, ofHost
}

// dockerConfig is the file that a secret holds.
type dockerConfig struct {
	Auths map[string]dockerAuth `json:"auths"`
}

// dockerAuth is one login, in both forms that clients read.
type dockerAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
}

// anyName is a user's name where a token is the password.
const anyName = "unused"

// renew puts a new credential into a secret. The one before it lasts until its end: pods may
// be pulling with it.
func (c *Controller) renew(ctx context.Context, a kube.ServiceAccount, s kube.PullSecret) (until time.Time, err error) {
	made, err := c.Issuer.Issue(ctx, a, s, c.Life)
	if err != nil {
		return time.Time{}, err
	}
	s.Config, err = json.Marshal(dockerConfig{Auths: map[string]dockerAuth{c.Host: {
		Username: anyName, Password: made.Password, Auth: base64.StdEncoding.EncodeToString([]byte(anyName + ":" + made.Password)),
	}}})
	if err != nil {
		return time.Time{}, fmt.Errorf("writing a pull secret down: %w", err)
	}
	now := c.Now()
	until = now.Add(made.ExpiresAt.Sub(now) / 2).UTC().Truncate(time.Second)
	s.Owner, s.Annotations = a, map[string]string{renewAt: until.Format(time.RFC3339)}
	if made.ID != "" {
		s.Annotations[credential] = made.ID
	}
	if _, err := c.Cluster.PutPullSecret(ctx, s); err != nil {
		return time.Time{}, errors.Join(err, c.revoke(ctx, made.ID))
	}
	c.Log.Info("a pull secret was renewed in the cluster", "namespace", s.Namespace, "secret", s.Name, "again", until)
	return until, nil
}

func (c *Controller) revoke(ctx context.Context, id string) error {
	if id == "" {
		return nil
	}
	return c.Issuer.Revoke(ctx, id)
}

// drop takes an account's secret away.
func (c *Controller) drop(ctx context.Context, a kube.ServiceAccount) error {
	delete(c.seen, id(a))
	name := SecretName(a.Name)
	secret, err := c.Cluster.PullSecret(ctx, a.Namespace, name)
	if err != nil && !errors.Is(err, kube.ErrNoObject) {
		return err
	}
	there := err == nil && ours(secret)
	if there {
		if err := c.revoke(ctx, secret.Annotations[credential]); err != nil {
			return err
		}
		if err := c.Cluster.DeletePullSecret(ctx, secret); err != nil {
			return err
		}
	}
	names := slices.DeleteFunc(slices.Clone(a.PullSecrets), func(s string) bool { return s == name && (there || err != nil) })
	if _, err := c.Cluster.SetPullSecrets(ctx, a, names, Label, ""); err != nil {
		return err
	}
	c.Log.Info("a pull secret was removed from the cluster", "namespace", a.Namespace, "secret", name)
	return nil
}
