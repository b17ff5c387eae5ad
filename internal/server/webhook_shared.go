package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
)

const (
	// sharedPause lies between two looks at the certificate that replicas share, each of
	// which may have renewed it.
	sharedPause = 10 * time.Second
	// maxSharedNames bounds the names of the certificate.
	maxSharedNames = 64
	// webhookConfiguration is the name of what larder kube webhook prints.
	webhookConfiguration = "larder"
	// The authority is in the Secret beside the server's certificate, which has the names
	// that Kubernetes gives it.
	authorityData    = "ca.crt"
	authorityKeyData = "ca.key"
	serverData       = "tls.crt"
	serverKeyData    = "tls.key"
)

// clusterObjects are those of a cluster.
type clusterObjects interface {
	Secret(ctx context.Context, namespace, name string) (kube.Secret, error)
	PutSecret(ctx context.Context, namespace, name string, s kube.Secret) error
	TrustCA(ctx context.Context, configuration string, ca []byte) error
}

// sharedCertificates is the certificate of the admission webhook, which its replicas share
// by a Secret of the cluster. Whoever comes first makes it, and whoever sees that it ends
// soon makes the next one; the cluster is told which authority to trust.
type sharedCertificates struct {
	objects clusterObjects
	secret  SecretName
	names   []string
	now     func() time.Time
	log     *slog.Logger

	current atomic.Pointer[tls.Certificate] // nil until there is one
	ca      atomic.Pointer[[]byte]          // PEM; the same
}

// TLSConfig is for a listener. Without a certificate yet, handshakes fail: an API server
// then makes pods with the images that they were given.
func (c *sharedCertificates) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if current := c.current.Load(); current != nil {
				return current, nil
			}
			return nil, errors.New("the webhook has no certificate yet")
		},
	}
}

// Reload implements certificates: what it would read is looked at all the time.
func (*sharedCertificates) Reload() error { return nil }

func (c *sharedCertificates) ends() time.Time {
	if current := c.current.Load(); current != nil {
		return current.Leaf.NotAfter
	}
	return time.Time{}
}

// authorityPEM is what to trust, empty as long as that is not known.
func (c *sharedCertificates) authorityPEM() []byte {
	if ca := c.ca.Load(); ca != nil {
		return *ca
	}
	return nil
}

func (c *sharedCertificates) trusted() ([]byte, error) { return c.authorityPEM(), nil }

// watch keeps the certificate until the context ends.
func (c *sharedCertificates) watch(ctx context.Context) {
	again := time.NewTicker(sharedPause)
	defer again.Stop()
	failed := ""
	for {
		err := c.keep(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil && err.Error() != failed:
			failed = err.Error()
			c.log.Error("the certificate of the admission webhook cannot be kept in the cluster; new pods keep their images if there is none", "error", err)
		case err == nil && failed != "":
			failed = ""
			c.log.Info("the certificate of the admission webhook is kept in the cluster again")
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// keep makes sure that there is a certificate, that this server has it, and that the
// cluster trusts it.
func (c *sharedCertificates) keep(ctx context.Context) error {
	for {
		pair, agreed, err := c.agree(ctx)
		if errors.Is(err, kube.ErrChanged) && ctx.Err() == nil {
			continue // another replica was faster
		}
		if err != nil {
			return err
		}
		ca := agreed.Data[authorityData]
		// Trust comes first: with a certificate that is not trusted yet nothing is
		// rewritten.
		err = c.objects.TrustCA(ctx, webhookConfiguration, ca)
		if errors.Is(err, kube.ErrNoObject) {
			err = nil // it is not applied yet
		}
		c.ca.Store(&ca)
		c.current.Store(pair)
		return errors.Join(err, c.label(ctx, agreed))
	}
}

// agree reads what the replicas share, or makes it anew where that does not serve.
func (c *sharedCertificates) agree(ctx context.Context) (*tls.Certificate, kube.Secret, error) {
	secret, err := c.objects.Secret(ctx, c.secret.Namespace, c.secret.Name)
	if err != nil && !errors.Is(err, kube.ErrNoObject) {
		return nil, secret, err
	}
	signer, made, err := c.authority(secret)
	if err != nil {
		return nil, secret, err
	}
	names := c.names
	if pair, err := tls.X509KeyPair(secret.Data[serverData], secret.Data[serverKeyData]); err == nil {
		if made == nil && c.serves(&pair, signer) {
			return &pair, secret, nil
		}
		names = c.withNamesOf(pair.Leaf)
	}
	issued, err := signer.issue(names, c.now())
	if err != nil {
		return nil, secret, err
	}
	next := secret
	next.Labels = ownLabels(secret)
	next.Data = map[string][]byte{
		authorityData: secret.Data[authorityData], authorityKeyData: secret.Data[authorityKeyData],
		serverData: issued.certificate, serverKeyData: issued.key,
	}
	if made != nil {
		next.Data[authorityData], next.Data[authorityKeyData] = made.certificate, made.key
	}
	if err := c.objects.PutSecret(ctx, c.secret.Namespace, c.secret.Name, next); err != nil {
		return nil, secret, err
	}
	c.log.Info("a certificate of the admission webhook was made", "secret", c.secret.String(), "names", names)
	pair, err := tls.X509KeyPair(issued.certificate, issued.key)
	if err != nil {
		return nil, secret, fmt.Errorf("reading the certificate that was made: %w", err)
	}
	return &pair, next, nil
}

// label gives a Secret the labels that it has not got, as one that an older version has made.
func (c *sharedCertificates) label(ctx context.Context, secret kube.Secret) error {
	labels := ownLabels(secret)
	if maps.Equal(labels, secret.Labels) {
		return nil
	}
	secret.Labels = labels
	err := c.objects.PutSecret(ctx, c.secret.Namespace, c.secret.Name, secret)
	if errors.Is(err, kube.ErrChanged) {
		return nil // whoever has changed it has given them, or the next look does
	}
	return err
}

// ownLabels are those of a Secret and those by which larder kube uninstall finds it.
func ownLabels(secret kube.Secret) map[string]string {
	labels := mirror.Labels()
	for key, value := range secret.Labels {
		if _, ours := labels[key]; !ours {
			labels[key] = value
		}
	}
	return labels
}

// authority is the one in the Secret, or one that was made because that does not serve.
func (c *sharedCertificates) authority(secret kube.Secret) (*authority, *keyPair, error) {
	if pair, err := tls.X509KeyPair(secret.Data[authorityData], secret.Data[authorityKeyData]); err == nil && !endsSoon(&pair, c.now()) {
		if kept, err := asAuthority(&pair); err == nil {
			return kept, nil, nil
		}
	}
	made, err := newAuthority(c.now())
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(made.certificate, made.key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the authority that was made: %w", err)
	}
	signer, err := asAuthority(&pair)
	return signer, made, err
}

// withNamesOf adds the names of a certificate to those that are needed here: replicas and
// relays that are configured with different names would else make it anew for ever.
func (c *sharedCertificates) withNamesOf(leaf *x509.Certificate) []string {
	all := slices.Clone(c.names)
	for _, name := range namesOf(leaf) {
		if !slices.Contains(all, name) && len(all) < maxSharedNames {
			all = append(all, name)
		}
	}
	return all
}

func namesOf(leaf *x509.Certificate) []string {
	names := slices.Clone(leaf.DNSNames)
	for _, address := range leaf.IPAddresses {
		names = append(names, address.String())
	}
	return names
}

// serves tells whether a certificate has all names, is the authority's and does not end soon.
func (c *sharedCertificates) serves(pair *tls.Certificate, signer *authority) bool {
	missing := func(name string) bool { return pair.Leaf.VerifyHostname(name) != nil }
	return !endsSoon(pair, c.now()) && bytes.Equal(pair.Leaf.RawIssuer, signer.certificate.RawSubject) &&
		pair.Leaf.CheckSignatureFrom(signer.certificate) == nil && !slices.ContainsFunc(c.names, missing)
}
