package upstream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	manifestText = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`
	nginx        = "library/nginx"
	latest       = "/v2/library/nginx/manifests/latest"
	nginxScope   = "repository:library/nginx:pull"
	missingText  = `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`
	limitText    = `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`
	abuseText    = "Too Many Requests (HAP429).\n"
)

// nobody is on whose behalf tests ask that are about something else.
var nobody oci.Caller

// wire is a server that writes down what it was asked, and by whom. The version check
// that comes first is answered by hello, or as by a registry that is open to all, and
// only counted.
type wire struct {
	*httptest.Server
	hello  http.HandlerFunc
	mu     sync.Mutex
	asks   []string
	hellos int
}

func serve(t *testing.T, handler http.HandlerFunc) *wire {
	t.Helper()
	w := &wire{}
	w.Server = httptest.NewServer(w.noting(handler))
	t.Cleanup(w.Close)
	return w
}

func (w *wire) noting(handler http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/v2/") {
			w.mu.Lock()
			w.hellos++
			w.mu.Unlock()
			if w.hello != nil {
				w.hello(rw, r)
			}
			return
		}
		w.mu.Lock()
		w.asks = append(w.asks, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+who(r)))
		w.mu.Unlock()
		handler(rw, r)
	}
}

// asked returns what was asked since the last call.
func (w *wire) asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asks := w.asks
	w.asks = nil
	return asks
}

func (w *wire) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// who is the user of Basic, the token of Bearer, or nothing.
func who(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok {
		return "as " + user
	}
	return strings.Replace(r.Header.Get("Authorization"), "Bearer ", "with ", 1)
}

// hub is a registry with a token service of its own at /token. Tokens are the asker's
// name and a number: "alice-1".
type hub struct {
	*wire
	life     string          // of expires_in
	issued   map[string]int  // by asker
	rejected map[string]bool // tokens
	content  func(http.ResponseWriter, *http.Request, string)
	token    func(http.ResponseWriter, *http.Request) bool // true: answered
}

var passwords = map[string]string{"alice": "secret", "bob": "hidden"}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{life: `,"expires_in":300`, issued: map[string]int{}, rejected: map[string]bool{}, content: manifestFor}
	h.wire = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			h.serveToken(w, r)
			return
		}
		bearerToken, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		h.mu.Lock()
		rejected := h.rejected[bearerToken]
		h.mu.Unlock()
		if !ok || rejected {
			h.challenge(w, r)
			return
		}
		asker, _, _ := strings.Cut(bearerToken, "-")
		h.content(w, r, asker)
	})
	h.hello = h.challenge
	return h
}

func (h *hub) challenge(w http.ResponseWriter, r *http.Request) {
	repo := path.Dir(path.Dir(strings.TrimPrefix(r.URL.Path, "/v2/")))
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="hub",scope="repository:%s:pull"`, h.URL, repo))
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(missingText))
}

func (h *hub) serveToken(w http.ResponseWriter, r *http.Request) {
	if h.token != nil && h.token(w, r) {
		return
	}
	asker := "anonymous"
	if user, password, ok := r.BasicAuth(); ok {
		if passwords[user] != password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		asker = user
	}
	h.mu.Lock()
	h.issued[asker]++
	n := h.issued[asker]
	h.mu.Unlock()
	_, _ = fmt.Fprintf(w, `{"token":"%s-%d"%s}`, asker, n, h.life)
}

func (h *hub) reject(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rejected[token] = true
}

func manifestFor(w http.ResponseWriter, _ *http.Request, _ string) {
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8")
	w.Header().Set("Docker-Content-Digest", digest.FromString(manifestText).String())
	_, _ = w.Write([]byte(manifestText))
}

// onlyFor serves a private repository: Hub answers 401 to everybody else.
func (h *hub) onlyFor(user string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, asker string) {
		if asker != user {
			h.challenge(w, r)
			return
		}
		manifestFor(w, r, asker)
	}
}

// client is a Registry with what it logs and measures.
type client struct {
	*Registry
	clock   *testkit.Clock
	log     *lines
	metrics *prometheus.Registry
}

// lines is a log that is read line by line.
type lines struct{ testkit.Buffer }

func (l *lines) lines() []string {
	return strings.FieldsFunc(l.String(), func(c rune) bool { return c == '\n' })
}

func dial(t *testing.T, at string, change ...func(*Config)) *client {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{clock: testkit.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)), log: &lines{}, metrics: prometheus.NewRegistry()}
	config := Config{Name: "docker-hub", URL: u, Hub: true, Now: c.clock.Now}
	for _, f := range change {
		f(&config)
	}
	c.Registry, err = New(config, NewMetrics(c.metrics), slog.New(slog.NewTextHandler(c.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func as(users ...string) func(*Config) {
	return func(c *Config) {
		for _, user := range users {
			name, password, given := strings.Cut(user, ":")
			if !given {
				password = passwords[name]
			}
			c.Credentials = append(c.Credentials, Credential{Username: name, Password: password})
		}
	}
}

func (c *client) stat(t *testing.T, auth Auth) (oci.Descriptor, error) {
	t.Helper()
	return c.StatManifest(t.Context(), auth.For(nobody), nginx, "latest")
}

// failing checks what an error is made of, and gives it back for more.
func failing(t *testing.T, err error, want Kind) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != want {
		t.Fatalf("error is %v, of kind %v, not %v", err, KindOf(err), want)
	}
	for _, password := range passwords {
		if strings.Contains(err.Error(), password) || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(password))) {
			t.Errorf("the error shows a password: %v", err)
		}
	}
	return e
}

func good(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tokenFor(asker string) string {
	line := "GET /token?scope=" + url.QueryEscape(nginxScope) + "&service=hub"
	if asker != "" {
		line += " as " + asker
	}
	return line
}
