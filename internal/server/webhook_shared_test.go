package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/testkit"
)

// fakeCluster keeps one secret and what is trusted.
type fakeCluster struct {
	data    map[string][]byte
	labels  map[string]string
	trusted []byte
	applied bool
	faster  func() // another replica, which writes before the next write
}

func (f *fakeCluster) Secret(context.Context, string, string) (kube.Secret, error) {
	if f.data == nil {
		return kube.Secret{}, kube.ErrNoObject
	}
	return kube.Secret{Data: maps.Clone(f.data), Labels: maps.Clone(f.labels)}, nil
}

func (f *fakeCluster) PutSecret(_ context.Context, _, _ string, s kube.Secret) error {
	if faster := f.faster; faster != nil {
		f.faster = nil
		faster()
		return kube.ErrChanged
	}
	f.data, f.labels = s.Data, s.Labels
	return nil
}

func (f *fakeCluster) TrustCA(_ context.Context, _ string, ca []byte) error {
	if !f.applied {
		return kube.ErrNoObject
	}
	f.trusted = ca
	return nil
}

func newShared(f *fakeCluster, clock *testkit.Clock) *sharedCertificates {
	return &sharedCertificates{
		objects: f, secret: SecretName{"larder", "larder-webhook"}, names: []string{"larder-webhook.larder.svc"},
		now: clock.Now, log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// leaf is what the server shows, as a client checks it that trusts what the cluster does.
func (c *sharedCertificates) leaf(t *testing.T, trusted []byte, at time.Time) *x509.Certificate {
	t.Helper()
	if err := c.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	shown, err := c.TLSConfig().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	if _, err := shown.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "larder-webhook.larder.svc", CurrentTime: at}); err != nil {
		t.Errorf("what is shown is not what is trusted: %v", err)
	}
	return shown.Leaf
}

func TestReplicasShowOneCertificateAndRenewItBeforeItsEnd(t *testing.T) {
	clock := testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	cluster := &fakeCluster{applied: true}
	one, other := newShared(cluster, clock), newShared(cluster, clock)
	if _, err := one.TLSConfig().GetCertificate(&tls.ClientHelloInfo{}); err == nil {
		t.Error("a certificate is shown before there is one")
	}
	if err := one.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	authority := cluster.trusted
	first := one.leaf(t, authority, clock.Now())
	if !other.leaf(t, authority, clock.Now()).Equal(first) {
		t.Error("replicas show different certificates")
	}
	clock.Pass(first.NotAfter.Sub(clock.Now()) - renewalWindow + time.Second)
	second := other.leaf(t, authority, clock.Now())
	if second.Equal(first) || !bytes.Equal(cluster.trusted, authority) {
		t.Error("before its end the certificate was not renewed by the same authority")
	}
	if !one.leaf(t, authority, clock.Now()).Equal(second) {
		t.Error("one replica does not show what the other has renewed")
	}
	clock.Pass(authorityYears * 366 * 24 * time.Hour)
	if err := one.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(cluster.trusted, authority) {
		t.Error("an authority that has ended is still trusted")
	}
	one.leaf(t, cluster.trusted, clock.Now())
}

func TestOfReplicasThatMakeACertificateAtOnceTheFasterOneCounts(t *testing.T) {
	clock := testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	cluster := &fakeCluster{applied: true}
	one, other := newShared(cluster, clock), newShared(cluster, clock)
	cluster.faster = func() {
		if err := other.keep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := one.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !one.leaf(t, cluster.trusted, clock.Now()).Equal(other.leaf(t, cluster.trusted, clock.Now())) {
		t.Error("replicas show different certificates")
	}
}

func TestReplicasThatAreReachedByDifferentNamesAgree(t *testing.T) {
	clock := testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	cluster := &fakeCluster{applied: true}
	registry, relay := newShared(cluster, clock), newShared(cluster, clock)
	relay.names = []string{"larder-webhook.larder.svc", "larder.larder.svc"}
	registry.leaf(t, authorityOf(t, registry), clock.Now())
	agreed := relay.leaf(t, authorityOf(t, relay), clock.Now())
	for range 3 {
		if !registry.leaf(t, cluster.trusted, clock.Now()).Equal(agreed) || !relay.leaf(t, cluster.trusted, clock.Now()).Equal(agreed) {
			t.Fatal("they make it anew again and again")
		}
	}
	registry.names = append(registry.names, "10.0.0.7")
	for _, name := range []string{"10.0.0.7", "larder.larder.svc"} {
		if err := registry.leaf(t, cluster.trusted, clock.Now()).VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

func TestADamagedSecretIsMadeAnew(t *testing.T) {
	clock := testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	cluster := &fakeCluster{data: map[string][]byte{authorityData: []byte("x"), serverData: []byte("y")}}
	one := newShared(cluster, clock)
	one.leaf(t, authorityOf(t, one), clock.Now()) // no webhook is applied yet, which is no error
	if cluster.trusted != nil {
		t.Error("something was changed that is not there")
	}
}

func TestTheSecretHasTheLabelsByWhichItIsUninstalled(t *testing.T) {
	clock := testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	cluster := &fakeCluster{}
	one := newShared(cluster, clock)
	first := one.leaf(t, authorityOf(t, one), clock.Now())
	if diff := cmp.Diff(mirror.Labels(), cluster.labels); diff != "" {
		t.Errorf("one that was made (-want +got):\n%s", diff)
	}
	cluster.labels = map[string]string{"team": "platform"} // as an older version has left it
	if !one.leaf(t, one.authorityPEM(), clock.Now()).Equal(first) {
		t.Error("for the sake of labels the certificate was made anew")
	}
	want := mirror.Labels()
	want["team"] = "platform"
	if diff := cmp.Diff(want, cluster.labels); diff != "" {
		t.Errorf("one that was there (-want +got):\n%s", diff)
	}
}

func authorityOf(t *testing.T, c *sharedCertificates) []byte {
	t.Helper()
	if err := c.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.authorityPEM()
}

// refusing is a cluster that gives nothing.
type refusing struct{ fakeCluster }

func (*refusing) Secret(context.Context, string, string) (kube.Secret, error) {
	return kube.Secret{}, errors.New("forbidden")
}

func TestACertificateIsKeptWhileTheClusterDoesNotAnswer(t *testing.T) {
	clock := testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))
	cluster := &fakeCluster{applied: true}
	one := newShared(cluster, clock)
	if err := one.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.objects = &refusing{}
	if err := one.keep(t.Context()); err == nil {
		t.Error("a cluster that gives nothing is no error")
	}
	if _, err := one.TLSConfig().GetCertificate(&tls.ClientHelloInfo{}); err != nil {
		t.Error(err)
	}
}
