package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/testkit"
)

const (
	acmeDomain = "registry.example.test"
	// acmePatience bounds the wait for a certificate on a busy machine.
	acmePatience = 2 * time.Minute
)

func TestACertificateIsObtainedFromAnAuthorityAndKept(t *testing.T) {
	program := pebbleProgram(t) // before ports are chosen: it may have to be built
	address := testkit.NewAddress(t)
	authority := startPebble(t, program, address)
	data := t.TempDir()
	file := fmt.Sprintf("tls:\n  acme: {domains: [%s], email: ops@example.test, directory: %q, ca: %q}\n", acmeDomain, authority.directory, authority.ca)

	stop, _ := serveACME(t, address, data, file)
	roots := authority.roots(t)
	serial := waitForCertificate(t, address, roots)
	stop()

	authority.stop()
	serveACME(t, address, data, file)
	if again := waitForCertificate(t, address, roots); again != serial {
		t.Errorf("after a restart the certificate is %s and not %s, the one that was kept", again, serial)
	}
}

func TestAnAuthorityThatCannotBeReachedDoesNotKeepTheServerFromStarting(t *testing.T) {
	file := fmt.Sprintf("tls:\n  acme: {domains: [%s], directory: \"https://%s/dir\"}\n", acmeDomain, testkit.NewAddress(t))
	_, log := serveACME(t, testkit.NewAddress(t), t.TempDir(), file)
	deadline := time.Now().Add(acmePatience)
	for !strings.Contains(log.String(), "no certificate could be obtained: see that the name leads to this server") {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say what to do:\n%s", log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// serveACME runs a server with this configuration file.
func serveACME(t *testing.T, address, data, file string) (stop func(), log *testkit.Buffer) {
	t.Helper()
	flags := pflag.NewFlagSet("larder", pflag.ContinueOnError)
	bound := server.BindFlags(flags)
	if err := flags.Parse([]string{"--listen", address, "--data", data, "--config", writeFile(t, "larder.yaml", file)}); err != nil {
		t.Fatal(err)
	}
	config, err := server.Load(bound, func(string) (string, bool) { return "", false }, server.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	log = &testkit.Buffer{}
	larder, err := server.New(t.Context(), config, server.Options{
		Version: "test", AdminPassword: adminPassword, Notices: io.Discard,
		Log:    slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Tuning: server.Tuning{ACMEPause: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- larder.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Larder ended with: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("what Larder logged:\n%s", log)
		}
	})
	return stop, log
}

// waitForCertificate asks until the server shows a certificate that the roots have
// signed, and tells its serial number.
func waitForCertificate(t *testing.T, address string, roots *x509.CertPool) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: acmeDomain},
	}}
	deadline := time.Now().Add(acmePatience)
	for {
		resp, err := client.Get("https://" + address + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("/healthz answers %s", resp.Status)
			}
			return resp.TLS.PeerCertificates[0].SerialNumber.String()
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate within %s: %v", acmePatience, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
