package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
)

// relay is a host in front of another that notes what it was asked.
type relay struct {
	*httptest.Server
	mu             sync.Mutex
	asked          []string // method and host
	authorizations []string // the scheme of each Authorization header that came
}

func (r *relay) note(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, req.Method+" "+req.Host)
	if scheme, _, shown := strings.Cut(req.Header.Get("Authorization"), " "); shown {
		r.authorizations = append(r.authorizations, scheme)
	}
}

// saw lists the requests that came, and which schemes of authorization came with them.
func (r *relay) saw() (asked, schemes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked), slices.Compact(slices.Sorted(slices.Values(r.authorizations)))
}

// newRelay passes everything on to the origin. Answers pass through change.
func newRelay(t *testing.T, origin string, change func(*http.Response)) *relay {
	t.Helper()
	target, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{}
	onward := &httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.SetURL(target) },
		ModifyResponse: func(resp *http.Response) error { change(resp); return nil },
		Transport:      &http.Transport{DisableKeepAlives: true},
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.note(req)
		onward.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

// newPartedStack is a stack whose upstream quay has its token service on another
// host, listed under realms or not. The service's answers pass through change.
func newPartedStack(t *testing.T, listed bool, change func(*http.Response)) (s *stack, registry, service *relay) {
	t.Helper()
	s = newStack(t, hubsim.Options{Shape: hubsim.Generic, DirectBlobs: true, Accounts: accounts}, "")
	service = newRelay(t, s.hub.AuthURL(), change)
	service.URL = strings.Replace(service.URL, "127.0.0.1", "localhost", 1)
	registry = newRelay(t, s.hub.URL(), func(resp *http.Response) {
		challenge := resp.Header.Get("WWW-Authenticate")
		resp.Header.Set("WWW-Authenticate", strings.ReplaceAll(challenge, s.hub.AuthURL(), service.URL))
	})
	s.file = "upstreams:\n- name: docker-hub\n- name: quay\n  " + credentials(t, [2]string{"acme", "acme-secret"}) + "\n"
	if listed {
		s.file += "  realms: [" + strings.TrimPrefix(service.URL, "http://") + "]\n"
	}
	s.args = append(s.args, "--upstream", "quay="+registry.URL)
	s.restart()
	t.Cleanup(func() { s.stop() }) // before the hosts that it asks
	return s, registry, service
}

func unchanged(*http.Response) {}

func TestATokenServiceOnAHostThatIsNotListedNeverSeesACredential(t *testing.T) {
	s, registry, service := newPartedStack(t, false, unchanged)
	image := s.hub.AddImage("acme/tool", "1", small(1))
	s.hub.AddImage("acme/app", "1", small(2))
	s.hub.SetPrivate("acme/app", true)

	s.send(request{path: tool + "manifests/1", admin: true}).wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	got := s.send(request{path: "/v2/quay/acme/app/manifests/1", admin: true})
	if said := string(got.body); got.status != 502 || !strings.Contains(said, "realms") || !strings.Contains(said, "acme/app") {
		t.Errorf("what needs the credential got %d %s", got.status, got.body)
	}
	if asked, schemes := service.saw(); len(asked) == 0 || len(schemes) > 0 {
		t.Errorf("the token service was asked %v with authorization %v, want anonymous requests", asked, schemes)
	}
	if _, schemes := registry.saw(); !slices.Equal(schemes, []string{"Bearer"}) {
		t.Errorf("the registry got authorization %v", schemes)
	}
	if log := s.log.String(); !strings.Contains(log, "add the host to the upstream's realms") {
		t.Error("the log does not say how to go on")
	}
	var upstreams api.UpstreamList
	s.read("/api/v1/upstreams", &upstreams)
	for _, a := range upstreams.Items[1].Accounts {
		if a.Credential == "acme" && (a.State != "blocked" || "http://"+a.TokenService != service.URL) {
			t.Errorf("the API tells of the credential: %+v", a)
		}
	}
}

func TestATokenServiceOnAListedHostIsAskedWithTheCredential(t *testing.T) {
	s, registry, service := newPartedStack(t, true, unchanged)
	image := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	s.send(request{path: "/v2/quay/acme/app/manifests/1", admin: true}).wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	if _, schemes := service.saw(); !slices.Equal(schemes, []string{"Basic"}) {
		t.Errorf("the token service got authorization %v", schemes)
	}
	if _, schemes := registry.saw(); !slices.Equal(schemes, []string{"Bearer"}) {
		t.Errorf("the registry got authorization %v", schemes)
	}
}

func TestATokenServiceCannotSendItsCallersElsewhere(t *testing.T) {
	elsewhere := newRelay(t, "http://127.0.0.1:1", unchanged)
	s, _, service := newPartedStack(t, true, func(resp *http.Response) {
		resp.StatusCode = http.StatusTemporaryRedirect
		resp.Header.Set("Location", elsewhere.URL+"/token")
	})
	s.hub.AddImage("acme/tool", "1", small(1))
	if got := s.send(request{path: tool + "manifests/1", admin: true}); got.status != 502 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if asked, _ := service.saw(); len(asked) == 0 {
		t.Error("the token service was not asked")
	}
	if asked, _ := elsewhere.saw(); len(asked) > 0 {
		t.Errorf("the redirect of a token service was followed: %v", asked)
	}
}

// newProxy is a proxy that connects callers (RFC 9110, §9.3.6) to the port asked for
// on this machine, whatever the host's name. Other methods get 502.
func newProxy(t *testing.T) *relay {
	t.Helper()
	r := &relay{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.note(req)
		_, port, err := net.SplitHostPort(req.Host)
		if err != nil || req.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		target, err := (&net.Dialer{}).DialContext(req.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer func() { _ = target.Close() }()
		w.WriteHeader(http.StatusOK)
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		var work sync.WaitGroup
		work.Go(func() {
			_, _ = io.Copy(target, buffered)
			_ = target.Close()
		})
		_, _ = io.Copy(client, target)
		_ = client.Close()
		work.Wait()
	}))
	t.Cleanup(r.Close)
	return r
}

// setProxies sets the environment's proxies for the rest of the test.
func setProxies(t *testing.T, proxy, except string) {
	t.Helper()
	for key, value := range map[string]string{"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": except} {
		t.Setenv(key, value)
		t.Setenv(strings.ToLower(key), value)
	}
}

func TestAnUpstreamThatOnlyTheProxyReachesIsPulledThroughIt(t *testing.T) {
	proxy := newProxy(t)
	setProxies(t, proxy.URL, "")
	s, _ := newGenericStack(t, hubsim.Options{Hostname: "registry.example.test", Accounts: accounts}, credentials(t, [2]string{"acme", "acme-secret"}))
	image := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	const app = "/v2/quay/acme/app/"

	s.send(request{path: app + "manifests/1", admin: true}).wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	layer := image.Manifests[0].Layers[0].Digest
	s.send(request{path: app + "blobs/" + layer.String(), admin: true}).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
	asked, schemes := proxy.saw()
	for _, origin := range []string{s.hub.URL(), s.hub.AuthURL()} {
		if want := "CONNECT " + strings.TrimPrefix(origin, "https://"); !slices.Contains(asked, want) {
			t.Errorf("the proxy was asked %v, and not %s", asked, want)
		}
	}
	if len(schemes) > 0 {
		t.Errorf("the proxy saw authorization %v", schemes)
	}
}

func TestAnUpstreamThatNoProxyNamesIsReachedDirectly(t *testing.T) {
	for _, test := range []struct {
		except string
		status int
	}{{"", 503}, {"0.0.0.0", 200}, {"example.com, 0.0.0.0/8", 200}} {
		t.Run(fmt.Sprintf("NO_PROXY=%s", test.except), func(t *testing.T) {
			proxy := newProxy(t)
			setProxies(t, proxy.URL, test.except)
			// 0.0.0.0 is this machine, and not one of the names for it that never go
			// through a proxy.
			s := newStack(t, hubsim.Options{Hostname: "0.0.0.0"}, "")
			s.hub.AddImage("library/nginx", "latest", small(1))
			if got := s.get(nginx + "manifests/latest"); got.status != test.status {
				t.Errorf("got %d %s, want %d", got.status, got.body, test.status)
			}
			if asked, _ := proxy.saw(); (len(asked) == 0) != (test.status == 200) {
				t.Errorf("the proxy was asked %v", asked)
			}
		})
	}
}
