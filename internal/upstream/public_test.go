package upstream_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"log/slog"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

func TestAddressesThatAreNotPublicAreKnown(t *testing.T) {
	for text, public := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "::1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "::": false, "fe80::1": false, "fd00::1": false, "224.0.0.1": false, "255.255.255.255": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "2002:7f00:1::": false, "198.18.0.1": false,
	} {
		if got := upstream.IsPublic(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s is public: %t, want %t", text, got, public)
		}
	}
}

func TestAHostThatIsNotPublicIsNeverConnectedTo(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"} {
		remote, err := upstream.New(upstream.Config{Name: "x", URL: &url.URL{Scheme: "http", Host: host + ":" + port}, PublicOnly: true},
			upstream.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_, err = remote.StatManifest(t.Context(), upstream.Anonymous.For(oci.Caller{}), "a/b", "1")
		remote.Close()
		if err == nil {
			t.Errorf("%s answered", host)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestARedirectToAnAddressThatIsNotPublicIsNotFollowed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "") // the proxy of the test's machine is not in its way
	var reached atomic.Int64
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inner.Close()
	// The proxy stands for the public network: it answers for a public host, and would
	// lead inside.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "registry.example" {
			http.Redirect(w, r, inner.URL+"/secret", http.StatusTemporaryRedirect)
			return
		}
		reached.Add(1)
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	remote, err := upstream.New(upstream.Config{Name: "x", URL: &url.URL{Scheme: "http", Host: "registry.example"}, PublicOnly: true},
		upstream.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	if _, err := remote.StatManifest(t.Context(), upstream.Anonymous.For(oci.Caller{}), "a/b", "1"); err == nil {
		t.Error("the redirect was followed")
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("%d requests arrived inside", n)
	}
}
