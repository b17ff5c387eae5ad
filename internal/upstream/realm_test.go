package upstream

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheRealmIsBoundToTheUpstream(t *testing.T) {
	tests := []struct {
		name, upstream, realm string
		listed                []string
		want                  trust
	}{
		{"the upstream itself", "https://r.example.com", "https://r.example.com/token", nil, withSecrets},
		{"the same port, written out", "https://r.example.com", "https://R.example.com:443/token", nil, withSecrets},
		{"Docker Hub's", "https://registry-1.docker.io", "https://auth.docker.io/token", nil, withSecrets},
		{"the same domain on another port", "https://r.example.com", "https://auth.example.com:8443/token", nil, withSecrets},
		{"https in the domain of an http upstream", "http://r.example.com", "https://auth.example.com/token", nil, withSecrets},
		{"http in the domain of an http upstream", "http://r.example.com", "http://auth.example.com/token", nil, withoutName},
		{"http for an https upstream", "https://r.example.com", "http://r.example.com/token", nil, never},
		{"http for an https upstream, although listed", "https://r.example.com", "http://auth.other.com/token", []string{"auth.other.com"}, never},
		{"another domain", "https://r.example.com", "https://auth.example.org/token", nil, withoutName},
		{"a domain that ends alike", "https://r.example.com", "https://notexample.com/token", nil, withoutName},
		{"two owners under one public suffix", "https://one.co.uk", "https://two.co.uk/token", nil, withoutName},
		{"two tenants of one hosting domain", "https://one.github.io", "https://two.github.io/token", nil, withoutName},
		{"two public suffixes", "https://co.uk", "https://org.uk/token", nil, withoutName},
		{"the same address, the same port", "http://127.0.0.1:5000", "http://127.0.0.1:5000/token", nil, withSecrets},
		{"the same address, another port", "http://127.0.0.1:5000", "http://127.0.0.1:5001/token", nil, withSecrets},
		{"the same bare name, another port, by https", "http://registry:5000", "https://registry:5001/token", nil, withSecrets},
		{"another address", "http://127.0.0.1:5000", "http://127.0.0.2:5000/token", nil, withoutName},
		{"addresses that look like one domain", "https://10.1.2.3", "https://192.168.2.3/token", nil, withoutName},
		{"bare names", "https://registry", "https://auth/token", nil, withoutName},
		{"a listed host, any port", "https://r.example.com", "https://auth.other.com:8443/token", []string{"AUTH.other.com"}, withSecrets},
		{"a listed host and port", "http://127.0.0.1:5000", "http://127.0.0.2:5001/token", []string{"127.0.0.2:5001"}, withSecrets},
		{"a listed host on another port than listed", "http://127.0.0.1:5000", "http://127.0.0.2:5002/token", []string{"127.0.0.2:5001"}, withoutName},
		{"below a listed host", "https://r.example.com", "https://evil.auth.other.com/token", []string{"auth.other.com"}, withoutName},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			upstream, err := url.Parse(test.upstream)
			good(t, err)
			realm, err := parseRealm(test.realm)
			good(t, err)
			if got := newRealms(upstream, test.listed).trust(realm); got != test.want {
				t.Errorf("trust is %d, not %d", got, test.want)
			}
		})
	}
}

func TestARealmIsAPlainURL(t *testing.T) {
	for _, realm := range []string{"", "/token", "ftp://r.example.com", "https://", "https://u:p@r.example.com", "https://r.example.com:x", "file:///etc/passwd"} {
		if u, err := parseRealm(realm); err == nil {
			t.Errorf("%q is taken for %v", realm, u)
		}
	}
}

// parted is a registry whose token service is on another host.
func parted(t *testing.T) (registry, service *wire) {
	t.Helper()
	service = serve(t, func(w http.ResponseWriter, r *http.Request) {
		name := "anonymous"
		if user, _, ok := r.BasicAuth(); ok {
			name = user
		}
		_, _ = fmt.Fprintf(w, `{"token":"%s"}`, name)
	})
	service.URL = strings.Replace(service.URL, "127.0.0.1", "localhost", 1)
	registry = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" || strings.Contains(r.URL.Path, "private") && who(r) != "with alice" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+service.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		manifestFor(w, r, "")
	})
	return registry, service
}

// CVE-2026-33540 (row 25): an upstream's challenge sends its password to whom it likes.
func TestAForeignRealmGetsNoCredential(t *testing.T) {
	registry, service := parted(t)
	c := dial(t, registry.URL, as("alice"))
	for range 2 {
		_, err := c.stat(t, Any)
		good(t, err)
	}
	service.expect(t, "GET /token?scope="+url.QueryEscape(nginxScope))
	registry.expect(t, "HEAD "+latest, "HEAD "+latest+" with anonymous", "HEAD "+latest+" with anonymous")
	if lines := c.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], service.URL) || !strings.Contains(lines[0], "realms") {
		t.Errorf("the log says %q", lines)
	}
	_, err := c.StatManifest(t.Context(), Any.For(nobody), "team/private", "1")
	if e := failing(t, err, Blocked); !strings.Contains(e.Message, "realms") {
		t.Errorf("the error does not say what to do: %v", e)
	}
	if blocked := c.Budget()[0].Blocked; "http://"+blocked != service.URL {
		t.Errorf("the credential counts as blocked from %q", blocked)
	}
}

func TestAListedRealmGetsTheCredential(t *testing.T) {
	registry, service := parted(t)
	listed, _ := url.Parse(service.URL)
	c := dial(t, registry.URL, as("alice"), func(c *Config) { c.Realms = []string{listed.Host} })
	_, err := c.StatManifest(t.Context(), Any.For(nobody), "team/private", "1")
	good(t, err)
	service.expect(t, "GET /token?scope="+url.QueryEscape("repository:team/private:pull")+" as alice")
	if blocked := c.Budget()[0].Blocked; blocked != "" {
		t.Errorf("the credential counts as blocked from %q", blocked)
	}
}

// secure starts a TLS server and writes its certificate to a file.
func secure(t *testing.T, handler http.HandlerFunc) (w *wire, caFile string) {
	t.Helper()
	w = &wire{}
	w.Server = httptest.NewUnstartedServer(w.noting(handler))
	w.EnableHTTP2 = true
	w.Config.ErrorLog = log.New(io.Discard, "", 0)
	w.StartTLS()
	t.Cleanup(w.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Certificate().Raw})
	good(t, os.WriteFile(caFile, text, 0o600))
	return w, caFile
}

func TestAnHTTPSUpstreamIsNeverLedToAnHTTPRealm(t *testing.T) {
	service := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the token service was asked") })
	host := strings.TrimPrefix(service.URL, "http://")
	w, ca := secure(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+service.URL+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	c := dial(t, w.URL, as("alice"), func(c *Config) { c.CAFile, c.Realms = ca, []string{host} })
	_, err := c.stat(t, Any)
	failing(t, err, Blocked)
	w.expect(t, "HEAD "+latest)
}

func TestACertificateIsTrustedThroughTheCAFileOnly(t *testing.T) {
	w, ca := secure(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the connection speaks %s", r.Proto)
		}
		manifestFor(w, r, "")
	})
	_, err := dial(t, w.URL, func(c *Config) { c.CAFile = ca }).stat(t, Any)
	good(t, err)
	w.expect(t, "HEAD "+latest)
	_, err = dial(t, w.URL).stat(t, Any)
	failing(t, err, Unavailable)
	w.expect(t)
}
