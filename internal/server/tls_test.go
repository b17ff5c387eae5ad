package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// served is the certificate that a listener with this configuration would send.
func served(t *testing.T, c *Certificates) *x509.Certificate {
	t.Helper()
	pair, err := c.TLSConfig().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

// pairOfFiles writes a server certificate for a name to two files.
func pairOfFiles(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	made, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(made.certificate, made.key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := asAuthority(&pair)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.issue([]string{name}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	plant(t, dir, map[string]string{"tls.crt": string(issued.certificate), "tls.key": string(issued.key)})
	return filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
}

func TestReloadServesTheNewFilesAndKeepsTheOldCertificateWhenTheyAreBad(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := pairOfFiles(t, dir, "one.example")
	certificates, err := newFileCertificates(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	pairOfFiles(t, dir, "two.example")
	if got := served(t, certificates.Certificates).DNSNames; !slices.Equal(got, []string{"one.example"}) {
		t.Errorf("before a reload %q is served", got)
	}
	if err := certificates.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := served(t, certificates.Certificates).DNSNames; !slices.Equal(got, []string{"two.example"}) {
		t.Errorf("after a reload %q is served", got)
	}
	plant(t, dir, map[string]string{"tls.key": "no key"})
	if err := certificates.Reload(); err == nil || !strings.Contains(err.Error(), certFile) || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("the error does not name the files: %v", err)
	}
	if got := served(t, certificates.Certificates).DNSNames; !slices.Equal(got, []string{"two.example"}) {
		t.Errorf("after a bad reload %q is served", got)
	}
}

func TestMissingCertificateFilesAreAnErrorAtTheStart(t *testing.T) {
	if _, err := newFileCertificates("/absent.crt", "/absent.key", slog.New(slog.DiscardHandler)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func selfSignedAt(t *testing.T, dir string, now time.Time, names ...string) *Certificates {
	t.Helper()
	certificates, err := SelfSigned(dir, names, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return certificates
}

func TestAClientThatTrustsTheAuthorityTrustsTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	certificates := selfSignedAt(t, dir, time.Now(), "registry.example", "127.0.0.1", "::1")
	authority, err := os.ReadFile(AuthorityFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("the authority's file holds no certificate")
	}
	for _, name := range []string{"registry.example", "127.0.0.1", "::1"} {
		if err := handshake(t, certificates, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var wrong x509.HostnameError
	if err := handshake(t, certificates, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "other.example"}); !errors.As(err, &wrong) {
		t.Errorf("for a name that it does not have: %v", err)
	}
	var unknown x509.UnknownAuthorityError
	if err := handshake(t, certificates, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: "registry.example"}); !errors.As(err, &unknown) {
		t.Errorf("without the authority: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the authority's key has mode %v, error %v", info.Mode(), err)
	}
}

func handshake(t *testing.T, certificates *Certificates, client *tls.Config) error {
	t.Helper()
	listener, err := Listen(t.Context(), "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	var server sync.WaitGroup
	server.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = tls.Server(conn, certificates.TLSConfig()).HandshakeContext(ctx)
		_ = conn.Close()
	})
	defer server.Wait()
	defer cancel()
	defer func() { _ = listener.Close() }()
	conn, err := (&tls.Dialer{Config: client}).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	return conn.Close()
}

func TestCertificatesLiveAsLongAsClientsAccept(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	server := served(t, selfSignedAt(t, dir, now, "a.example"))
	if life := server.NotAfter.Sub(server.NotBefore); life > 397*24*time.Hour {
		t.Errorf("the server certificate lives %v", life)
	}
	ca := readCertificate(t, AuthorityFile(dir))
	if want := now.AddDate(10, 0, 0); !ca.NotAfter.Equal(want) {
		t.Errorf("the authority ends %v, want %v", ca.NotAfter, want)
	}
	if !ca.IsCA || !ca.MaxPathLenZero || server.IsCA {
		t.Errorf("authority: IsCA %v, MaxPathLenZero %v; server: IsCA %v", ca.IsCA, ca.MaxPathLenZero, server.IsCA)
	}
	if ca.SerialNumber.BitLen() < 64 || server.SerialNumber.BitLen() < 64 {
		t.Errorf("serial numbers can be guessed: %v, %v", ca.SerialNumber, server.SerialNumber)
	}
}

func readCertificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestTheNextStartKeepsWhatStillServes(t *testing.T) {
	day := 24 * time.Hour
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name  string
		after time.Duration
		names []string
		same  bool
	}{
		{"soon after", day, []string{"a.example", "127.0.0.1"}, true},
		{"with fewer names", day, []string{"a.example"}, true},
		{"with another name", day, []string{"a.example", "b.example"}, false},
		{"31 days before the end", 366*day - time.Hour, []string{"a.example"}, true},
		{"29 days before the end", 368 * day, []string{"a.example"}, false},
		{"long after the end", 3650 * day, []string{"a.example"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			first := served(t, selfSignedAt(t, dir, start, "a.example", "127.0.0.1"))
			authority := readCertificate(t, AuthorityFile(dir))
			next := served(t, selfSignedAt(t, dir, start.Add(tt.after), tt.names...))
			if next.Equal(first) != tt.same {
				t.Errorf("the certificate is the same: %v, want %v", next.Equal(first), tt.same)
			}
			for _, name := range tt.names {
				if err := next.VerifyHostname(name); err != nil {
					t.Error(err)
				}
			}
			if !readCertificate(t, AuthorityFile(dir)).Equal(authority) {
				t.Error("the authority was replaced")
			}
			if next.NotAfter.After(authority.NotAfter) {
				t.Error("the certificate outlives its authority")
			}
		})
	}
}

func TestACertificateIsRenewedWhileItIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		dir := t.TempDir()
		certificates, err := SelfSigned(dir, []string{"a.example"}, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		first := served(t, certificates)
		time.Sleep(360 * 24 * time.Hour)
		if !served(t, certificates).Equal(first) {
			t.Error("it was renewed too early")
		}
		time.Sleep(10 * 24 * time.Hour)
		second := served(t, certificates)
		if second.Equal(first) || second.CheckSignatureFrom(readCertificate(t, AuthorityFile(dir))) != nil {
			t.Error("it was not renewed by the same authority")
		}

		if err := os.Rename(AuthorityFile(dir), filepath.Join(dir, "elsewhere")); err != nil {
			t.Fatal(err)
		}
		plant(t, dir, map[string]string{"ca.crt": "damaged"})
		time.Sleep(380 * 24 * time.Hour)
		for range 3 {
			if !served(t, certificates).Equal(second) {
				t.Error("a renewal that failed took the certificate away")
			}
		}
		if got := strings.Count(log.String(), "cannot be renewed"); got != 1 {
			t.Errorf("%d attempts in one moment, want 1:\n%s", got, log.String())
		}
		if err := os.Rename(filepath.Join(dir, "elsewhere"), AuthorityFile(dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if served(t, certificates).Equal(second) {
			t.Error("it was not renewed once that was possible again")
		}
	})
}

func TestAnAuthorityThatClientsTrustIsNeverReplacedUnasked(t *testing.T) {
	tests := []struct {
		name   string
		damage func(dir string) error
		now    time.Time
		want   string
	}{
		{"its key is gone", func(dir string) error { return os.Remove(filepath.Join(dir, "ca.key")) }, time.Now(), "is damaged"},
		{"its certificate is cut short", func(dir string) error { return os.Truncate(AuthorityFile(dir), 100) }, time.Now(), "is damaged"},
		{"it has ended", func(string) error { return nil }, time.Now().AddDate(11, 0, 0), "ended on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			selfSignedAt(t, dir, time.Now(), "a.example")
			if err := tt.damage(dir); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			_, err := SelfSigned(dir, []string{"a.example"}, func() time.Time { return tt.now }, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "remove the folder") {
				t.Errorf("error is %v", err)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("the folder was touched (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAStartThatWasCutOffBeforeTheAuthorityWasWrittenIsRepeated(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"ca.key": "half", "server.crt": "half"})
	if err := served(t, selfSignedAt(t, dir, time.Now(), "a.example")).VerifyHostname("a.example"); err != nil {
		t.Error(err)
	}
}

func TestACertificateNamesEverythingByWhichTheServerIsReached(t *testing.T) {
	config := Defaults()
	config.Listen = "0.0.0.0:443"
	config.Mirror.Listen = "10.0.0.7:5001"
	config.PublicURL = mustBaseURL(t, "https://Registry.Example.com:8443")
	want := []string{"registry.example.com", "10.0.0.7", "node-1", "localhost", "127.0.0.1", "::1"}
	if diff := cmp.Diff(want, CertificateNames(config, "Node-1")); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"127.0.0.1", "localhost", "::1"}, CertificateNames(Defaults(), "not a host name")); diff != "" {
		t.Errorf("names of the default (-want +got):\n%s", diff)
	}
}

func mustBaseURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := parseBaseURL(given{text: text})
	if err != nil {
		t.Fatal(err)
	}
	return u
}
