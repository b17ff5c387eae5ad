package kube_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/kube"
)

func TestAPodAsksWithItsOwnTokenAndFollowsItsReplacement(t *testing.T) {
	c := newCluster(t)
	c.AllowAll(true)
	folder := c.Pod()
	client, err := kube.New(kube.Config{PodFolder: folder, Now: c.clock.Now, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", "the second", "the third"} {
		if token != "" {
			c.Renew(folder, token)
		}
		// Nothing is remembered from before, and the first question after it is answered.
		c.clock.Pass(time.Minute)
		if may, err := client.ReviewAccess(t.Context(), pull()); !may || err != nil {
			t.Errorf("with the token %q: allowed is %v, %v", token, may, err)
		}
	}
	if _, accesses := c.asked(); accesses != 3 {
		t.Errorf("the cluster decided %d times, want 3", accesses)
	}
}

func TestAPodWithoutAServiceAccountIsToldWhatToMount(t *testing.T) {
	for _, missing := range []string{"token", "ca.crt"} {
		c := newCluster(t)
		folder := c.Pod()
		if err := os.Remove(filepath.Join(folder, missing)); err != nil {
			t.Fatal(err)
		}
		_, err := kube.New(kube.Config{PodFolder: folder})
		if err == nil || !strings.Contains(err.Error(), filepath.Join(folder, missing)) || !strings.Contains(err.Error(), "automountServiceAccountToken") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

// A pod trusts the authority of its cluster and no other.
func TestAPodDoesNotShowItsTokenToAnotherServer(t *testing.T) {
	c := newCluster(t)
	folder := c.Pod()
	if err := os.WriteFile(filepath.Join(folder, "ca.crt"), authority(t), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := kube.New(kube.Config{PodFolder: folder, Now: c.clock.Now, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if may, err := client.ReviewAccess(t.Context(), pull()); may || err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("allowed is %v, %v", may, err)
	}
}

// authority makes the certificate of an authority that has signed nothing.
func authority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}
