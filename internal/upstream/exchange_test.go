package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// faulty answers the first n requests with fault, and manifests after that.
func faulty(n int32, fault http.HandlerFunc) http.HandlerFunc {
	var served atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) <= n {
			fault(w, r)
			return
		}
		manifestFor(w, r, "")
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestAPassingFaultIsTriedAgain(t *testing.T) {
	tests := []struct {
		name  string
		fault http.HandlerFunc
		times int32
		asked int
		want  Kind
	}{
		{"502 once", status(502), 1, 2, 0},
		{"503 twice", status(503), 2, 3, 0},
		{"504 for good", status(504), 9, 3, Unavailable},
		{"a cut connection twice", cut, 2, 3, 0},
		{"500 is not tried again", status(500), 1, 1, Unavailable},
		{"503 with a time is not tried again before it", status(503, "Retry-After", "30"), 1, 1, Unavailable},
		{"404 is final", status(404), 1, 1, NotFound},
		{"400 is final", status(400), 1, 1, Invalid},
		{"403 without a challenge is final", status(403), 1, 1, Denied},
		{"a 204 is no answer", status(204), 1, 1, Invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := serve(t, faulty(test.times, test.fault))
			_, err := dial(t, w.URL).stat(t, Any)
			if KindOf(err) != test.want || (err == nil) != (test.want == 0) {
				t.Errorf("error is %v, want kind %v", err, test.want)
			}
			w.expect(t, slices.Repeat([]string{"HEAD " + latest}, test.asked)...)
		})
	}
}

func TestRetryAfterIsKeptOnEveryError(t *testing.T) {
	w := serve(t, status(503, "Retry-After", "30"))
	_, err := dial(t, w.URL).stat(t, Any)
	if e := failing(t, err, Unavailable); e.RetryAfter != 30*time.Second || e.Status != 503 {
		t.Errorf("the error is %+v", e)
	}
}

func TestACallerInAHurryGetsOneTry(t *testing.T) {
	w := serve(t, status(503))
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	_, err := dial(t, w.URL).StatManifest(ctx, Any.For(nobody), nginx, "latest")
	if kind := KindOf(err); kind != Unavailable && kind != Timeout { // on a busy machine the time may run out
		t.Errorf("error is %v, of kind %v", err, kind)
	}
	w.expect(t, "HEAD "+latest)
}

func TestPausesAreSpreadAndBounded(t *testing.T) {
	for try, most := range map[int]time.Duration{1: 225 * time.Millisecond, 2: 450 * time.Millisecond} {
		seen := map[time.Duration]bool{}
		for range 50 {
			p := pause(try)
			seen[p] = true
			if p < most/3 || p > most {
				t.Errorf("pause %d is %v", try, p)
			}
		}
		if len(seen) < 2 {
			t.Errorf("pause %d is always the same", try)
		}
	}
}

// nobodyListens is an address of a port that no process is given by chance.
const nobodyListens = "http://127.0.0.1:1"

func TestAnUpstreamThatIsNotThereIsUnavailable(t *testing.T) {
	_, err := dial(t, nobodyListens).stat(t, Any)
	if e := failing(t, err, Unavailable); !strings.Contains(e.Error(), "refused") || !strings.Contains(e.Error(), "docker-hub") {
		t.Errorf("the error does not tell: %v", e)
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestAnUpstreamThatNeverAnswersIsATimeout(t *testing.T) {
	w := serve(t, hang)
	t.Run("after the wait for headers", func(t *testing.T) {
		c := dial(t, w.URL, func(c *Config) { c.Timeouts.Headers = 30 * time.Millisecond })
		_, err := c.stat(t, Any)
		failing(t, err, Timeout)
	})
	t.Run("after the wait for the whole call", func(t *testing.T) {
		c := dial(t, w.URL, func(c *Config) { c.Timeouts.Request = 30 * time.Millisecond })
		_, err := c.stat(t, Any)
		failing(t, err, Timeout)
	})
	t.Run("after the caller's own deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		_, err := dial(t, w.URL).StatManifest(ctx, Any.For(nobody), nginx, "latest")
		failing(t, err, Timeout)
	})
}

func TestABrokenHandshakeDoesNotHoldACallForever(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	good(t, err)
	defer func() { _ = listener.Close() }()
	c := dial(t, "https://"+listener.Addr().String(), func(c *Config) { c.Timeouts.Dial = 30 * time.Millisecond })
	_, err = c.stat(t, Any)
	failing(t, err, Timeout)
}

func TestATokenServiceThatHangsIsATimeout(t *testing.T) {
	h := newHub(t)
	h.token = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	_, err := dial(t, h.URL, func(c *Config) { c.Timeouts.Headers = 30 * time.Millisecond }).stat(t, Any)
	failing(t, err, Timeout)
}

func TestOnlyTheUpstreamsSilenceCountsAsAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reader, writer := io.Pipe()
		context.AfterFunc(ctx, func() { _ = reader.CloseWithError(context.Cause(ctx)) })
		r := &Registry{config: Config{Name: "docker-hub"}}
		body := &guarded{
			body: reader, ctx: ctx, cancel: cancel, stall: 30 * time.Second,
			timer: time.AfterFunc(time.Hour, func() { cancel(errStalled) }),
			fail:  func(err error) error { return r.failure(t.Context(), "reading", err) },
			done:  func(int64) {},
		}
		body.timer.Stop()
		go func() {
			for range 3 {
				time.Sleep(29 * time.Second)
				_, _ = writer.Write([]byte("x"))
			}
		}()
		one := make([]byte, 1)
		for range 3 {
			_, err := body.Read(one)
			good(t, err)
		}
		time.Sleep(10 * time.Minute)
		go func() { _, _ = writer.Write([]byte("x")) }()
		_, err := body.Read(one)
		good(t, err)
		began := time.Now()
		_, err = body.Read(one)
		failing(t, err, Timeout)
		if waited := time.Since(began); waited != 30*time.Second {
			t.Errorf("it waited %v", waited)
		}
		good(t, body.Close())
	})
}

// leadTo redirects every manifest but one called here.
func leadTo(location string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, _ string) {
		if strings.HasSuffix(r.URL.Path, "/here") {
			manifestFor(w, r, "")
			return
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

func TestRedirectsAreFollowedWithoutCredentials(t *testing.T) {
	var store *wire
	var h *hub
	store = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/back":
			http.Redirect(w, r, h.URL+"/v2/library/nginx/manifests/home", http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/forbidden":
			w.Header().Set("WWW-Authenticate", `Basic realm="give me"`)
			w.WriteHeader(http.StatusUnauthorized)
		case "/busy":
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			manifestFor(w, r, "")
		}
	})
	h = newHub(t)
	c := dial(t, h.URL, as("alice"))
	_, err := c.stat(t, Any)
	good(t, err)
	h.asked()
	withUser := strings.Replace(store.URL, "http://", "http://u:p@", 1)
	tests := []struct {
		name, location string
		registry, away []string
		want           Kind
	}{
		{"to another origin", store.URL + "/blob?sig=x", nil, []string{"HEAD /blob?sig=x"}, 0},
		{"with credentials in the link, which are dropped", withUser + "/blob", nil, []string{"HEAD /blob"}, 0},
		{"within the registry, with its token", "here", []string{"HEAD /v2/library/nginx/manifests/here with alice-1"}, nil, 0},
		{"away and back: the token is not shown any more", store.URL + "/back", []string{"HEAD /v2/library/nginx/manifests/home"}, []string{"HEAD /back"}, Unavailable},
		{"in a loop", store.URL + "/loop", nil, slices.Repeat([]string{"HEAD /loop"}, maxRedirects), Invalid},
		{"to who asks for credentials", store.URL + "/forbidden", nil, []string{"HEAD /forbidden"}, Unavailable},
		{"to who has too much to do", store.URL + "/busy", nil, []string{"HEAD /busy"}, Unavailable},
		{"nowhere", "", nil, nil, Invalid},
		{"to a file", "file:///etc/passwd", nil, nil, Invalid},
		{"to no host", "http:///x", nil, nil, Invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h.content = leadTo(test.location)
			_, err := c.stat(t, Any)
			if KindOf(err) != test.want || (err == nil) != (test.want == 0) {
				t.Errorf("error is %v, want kind %v", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "sig=") {
				t.Errorf("the error shows the signed link: %v", err)
			}
			h.expect(t, append([]string{"HEAD " + latest + " with alice-1"}, test.registry...)...)
			store.expect(t, test.away...)
		})
	}
}

func TestARedirectNeverLeavesHTTPS(t *testing.T) {
	store := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the plain store was asked") })
	w, ca := secure(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, store.URL, http.StatusTemporaryRedirect)
	})
	_, err := dial(t, w.URL, func(c *Config) { c.CAFile = ca }).stat(t, Any)
	failing(t, err, Invalid)
}

func TestTheEnvironmentsProxyIsUsed(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "registry.example.com" {
			t.Errorf("the proxy was asked for %v", r.URL)
		}
		manifestFor(w, r, "")
	}))
	defer proxy.Close()
	for _, name := range []string{"NO_PROXY", "no_proxy", "REQUEST_METHOD"} { // the machine's
		t.Setenv(name, "")
	}
	t.Setenv("HTTP_PROXY", proxy.URL)
	_, err := dial(t, "http://registry.example.com").stat(t, Any)
	good(t, err)

	t.Setenv("NO_PROXY", "example.com")
	direct, err := proxyFromEnvironment()(&http.Request{URL: &url.URL{Scheme: "http", Host: "registry.example.com"}})
	if direct != nil || err != nil {
		t.Errorf("NO_PROXY is not honored: %v, %v", direct, err)
	}
}
