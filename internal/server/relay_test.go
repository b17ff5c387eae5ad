package server

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// relayOf is what a relay shows and trusts that has all of it from a folder.
func relayOf(dir string) RelayConfig {
	return RelayConfig{
		Files: RelayFiles{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")},
		Log:   slog.New(slog.DiscardHandler),
	}
}

// registryAt answers handshakes with what a folder holds, until the test ends.
func registryAt(t *testing.T, dir string) (address string) {
	t.Helper()
	certs := selfSignedAt(t, dir, time.Now(), "127.0.0.1")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		TLSConfig: certs.TLSConfig(), ReadHeaderTimeout: headerTimeout, ErrorLog: log.New(io.Discard, "", 0),
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(listener, "", "") })
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	return listener.Addr().String()
}

func TestARelayTrustsWhatItsFileHoldsWhenItConnects(t *testing.T) {
	dir, one, other := t.TempDir(), t.TempDir(), t.TempDir()
	pairOfFiles(t, dir, "larder-webhook.larder.svc")
	addresses := map[string]string{one: registryAt(t, one), other: registryAt(t, other)}
	trust := func(registry string) {
		ca, err := os.ReadFile(AuthorityFile(registry))
		if err != nil {
			t.Fatal(err)
		}
		plant(t, dir, map[string]string{"ca.crt": string(ca)})
	}
	trust(one)
	certs, err := newRelayCertificates(relayOf(dir))
	if err != nil {
		t.Fatal(err)
	}
	client := relayClient(certs.trusted)
	defer client.CloseIdleConnections()
	reach := func(registry string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		asked, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addresses[registry]+"/", http.NoBody)
		if err != nil {
			return err
		}
		answer, err := client.Do(asked)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	}
	for _, registry := range []string{one, other, one} {
		trust(registry)
		client.CloseIdleConnections()
		for _, tried := range []string{one, other} {
			if err := reach(tried); (err == nil) != (tried == registry) {
				t.Errorf("with the CA of %s, %s: %v", registry, tried, err)
			}
		}
	}
}

func TestARelayThatLacksAFileSaysWhich(t *testing.T) {
	for missing, want := range map[string]string{"tls.crt": "--cert and --key", "tls.key": "--cert and --key", "ca.crt": "--ca: "} {
		dir := t.TempDir()
		pairOfFiles(t, dir, "larder-webhook.larder.svc")
		plant(t, dir, map[string]string{"ca.crt": "x"})
		if err := os.Remove(filepath.Join(dir, missing)); err != nil {
			t.Fatal(err)
		}
		if _, err := newRelayCertificates(relayOf(dir)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}
