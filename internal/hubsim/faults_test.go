package hubsim

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

const layerSize = 100_000

// scene is a hub with one image and everything needed to ask for its parts.
type scene struct {
	hub    *Hub
	b      *browser
	pushed Pushed
	layer  digest.Digest
	whole  string
	token  string
}

func newScene(t *testing.T, options Options) scene {
	t.Helper()
	hub := start(t, options)
	s := scene{hub: hub, b: newBrowser(t, hub)}
	s.pushed = hub.AddImage("library/nginx", "latest", Image{LayerSizes: []int64{layerSize}})
	s.layer = s.pushed.Manifests[0].Layers[0].Digest
	reader, _ := hub.OpenBlob(s.layer)
	whole, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	s.whole = string(whole)
	s.token = s.b.bearer("", "repository:library/nginx:pull")
	return s
}

func (s scene) manifest(method string) answer {
	s.b.t.Helper()
	return s.b.ask(method, s.hub.URL()+"/v2/library/nginx/manifests/latest", s.token)
}

// blob follows the redirect, when there is one.
func (s scene) blob(headers ...string) answer {
	s.b.t.Helper()
	got := s.b.ask(http.MethodGet, s.hub.URL()+"/v2/library/nginx/blobs/"+s.layer.String(), append(headers, s.token)...)
	if got.status != http.StatusTemporaryRedirect {
		return got
	}
	return s.b.ask(http.MethodGet, got.header.Get("Location"), headers...)
}

func TestAFaultAnswersInPlaceOfTheRegistry(t *testing.T) {
	for _, test := range []struct {
		name   string
		kind   FaultKind
		status int
		body   string
		header string // "Name: value"
	}{
		{"an error of the server", Status500, 500, "<h1>500 Internal Server Error</h1>", "Content-Type: text/html"},
		{"a bad gateway", Status502, 502, "<h1>502 Bad Gateway</h1>", "Content-Type: text/html"},
		{"a service that is not available", Status503, 503, "<h1>503 Service Unavailable</h1>", "Content-Type: text/html"},
		{"a captive portal", Page200, 200, "<h1>200 OK</h1>", "Content-Type: text/html"},
		{"a refused token", Unauthorized401, 401, `"UNAUTHORIZED"`, "Content-Type: application/json"},
		{"a refusal", Forbidden403, 403, `"DENIED"`, "Content-Type: application/json"},
		{"nothing there", NotFound404, 404, `"MANIFEST_UNKNOWN"`, "Content-Type: application/json"},
		{"the pull limit", PullLimit429, 429, tooManyPulls, "RateLimit-Remaining: 0;w=21600"},
		{"the limit on all requests", AbuseLimit429, 429, "Too Many Requests (HAP429).\n", "Retry-After: 60"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, Options{})
			restore := s.hub.Break(Fault{Kind: test.kind, Path: ManifestPath, Method: http.MethodGet})
			got := s.manifest(http.MethodGet)
			if got.status != test.status || !strings.Contains(got.body, test.body) {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, test.status, test.body)
			}
			key, value, _ := strings.Cut(test.header, ": ")
			if diff := cmp.Diff(value, got.header.Get(key)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", key, diff)
			}
			if got := s.manifest(http.MethodHead); got.status != 200 {
				t.Errorf("HEAD is not meant, but was answered %d", got.status)
			}
			restore()
			if got := s.manifest(http.MethodGet); got.status != 200 {
				t.Errorf("after restore: status %d", got.status)
			}
		})
	}
}

func TestTheAbuseLimitIsPlainTextAndEndsTheConnection(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: AbuseLimit429})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.hub.URL()+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if !response.Close || response.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("close %t, type %q", response.Close, response.Header.Get("Content-Type"))
	}
}

func TestTheTokenServiceFailsInItsOwnWords(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: Unauthorized401, Path: TokenPath, Repository: "library/nginx"})
	ask := func(scope string) answer { return s.b.ask(http.MethodGet, s.hub.AuthURL()+"/token?scope="+scope) }
	if got := ask("repository:library/nginx:pull"); got.status != 401 || got.body != `{"details":"incorrect username or password"}` {
		t.Errorf("got %d %q", got.status, got.body)
	}
	if got := ask("repository:library/redis:pull"); got.status != 200 {
		t.Errorf("another repository's token: status %d", got.status)
	}
}

func TestAFaultStrikesAfterSoManyAndForSoManyTimes(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: Status503, Reference: "latest", After: 1, Times: 2})
	var got []int
	for range 5 {
		got = append(got, s.manifest(http.MethodGet).status)
	}
	if diff := cmp.Diff([]int{200, 503, 503, 200, 200}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

func TestAServiceThatIsDownRefusesConnections(t *testing.T) {
	for _, tls := range []bool{false, true} {
		s := newScene(t, Options{TLS: tls})
		restore := s.hub.Break(Fault{Kind: Down, Service: Registry})
		got := s.manifest(http.MethodHead)
		if !errors.Is(got.err, syscall.ECONNRESET) && !errors.Is(got.err, io.EOF) && !errors.Is(got.err, syscall.EPIPE) {
			t.Errorf("TLS %t: status %d, error %v", tls, got.status, got.err)
		}
		if s.hub.Counters().Refused == 0 {
			t.Errorf("TLS %t: no refused connection was counted", tls)
		}
		if got := s.b.ask(http.MethodGet, s.hub.AuthURL()+"/token"); got.status != 200 {
			t.Errorf("TLS %t: the token service is not down, but: %d, %v", tls, got.status, got.err)
		}
		restore()
		if got := s.manifest(http.MethodHead); got.status != 200 {
			t.Errorf("TLS %t: after restore: %d, %v", tls, got.status, got.err)
		}
	}
}

func TestAPathThatIsDownDropsItsConnections(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: Down, Path: ManifestPath})
	if got := s.manifest(http.MethodGet); got.err == nil {
		t.Errorf("manifest: status %d", got.status)
	}
	if got := s.blob(); got.status != 200 {
		t.Errorf("blob: status %d, %v", got.status, got.err)
	}
}

func TestASlowAnswerComesInTheEnd(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: Slow, Path: ManifestPath, Delay: 50 * time.Millisecond})
	begun := time.Now()
	if got := s.manifest(http.MethodGet); got.status != 200 || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("status %d after %s", got.status, time.Since(begun))
	}
}

func TestAStalledAnswerLastsUntilTheClientGivesUp(t *testing.T) {
	for _, bytes := range []int64{0, 50_000} {
		s := newScene(t, Options{})
		link := follow(s.b, s.pushed)
		restore := s.hub.Break(Fault{Kind: Stalled, Path: BlobPath, Bytes: bytes})
		ctx, giveUp := context.WithCancel(t.Context())
		defer giveUp()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := s.b.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		begin := make([]byte, bytes)
		if _, err := io.ReadFull(response.Body, begin); err != nil || string(begin) != s.whole[:bytes] {
			t.Errorf("the first %d bytes: %v", bytes, err)
		}
		giveUp()
		if rest, err := io.ReadAll(response.Body); !errors.Is(err, context.Canceled) || len(rest) > 0 {
			t.Errorf("after %d bytes came %d more, and %v", bytes, len(rest), err)
		}
		restore()
		if got := s.b.ask(http.MethodGet, link); got.body != s.whole {
			t.Errorf("after restore: status %d, %d bytes, %v", got.status, len(got.body), got.err)
		}
	}
}

func TestARequestCanStallBeforeAnyAnswer(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: StalledBeforeHeaders, Path: ManifestPath})
	s.hub.ResetRequests()
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	asked := make(chan answer)
	go func() {
		asked <- s.b.askWithin(ctx, http.MethodGet, s.hub.URL()+"/v2/library/nginx/manifests/latest", s.token)
	}()
	waitFor(t, "the request to arrive", func() bool { return len(s.hub.Requests()) == 1 })
	giveUp()
	if got := <-asked; !errors.Is(got.err, context.Canceled) {
		t.Errorf("status %d, error %v", got.status, got.err)
	}
}

func TestRestoringEndsAStall(t *testing.T) {
	s := newScene(t, Options{})
	restore := s.hub.Break(Fault{Kind: Stalled, Path: ManifestPath})
	s.hub.ResetRequests()
	asked := make(chan answer)
	go func() { asked <- s.manifest(http.MethodGet) }()
	waitFor(t, "the request to stall", func() bool {
		requests := s.hub.Requests()
		return len(requests) == 1 && requests[0].Status == 200
	})
	restore()
	if got := <-asked; got.err == nil {
		t.Errorf("the stalled answer ended well: %d %q", got.status, got.body)
	}
}

func TestACutTransferResumesWithARange(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
	}{
		{"at the CDN", Options{}},
		{"over HTTP/2", Options{TLS: true}},
		{"at the registry itself", Options{Shape: Generic, DirectBlobs: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t, test.options)
			s.hub.Break(Fault{Kind: CutAfter, Path: BlobPath, Reference: s.layer.String(), Bytes: 40_000, Times: 2})
			first := s.blob()
			if first.err == nil || len(first.body) != 40_000 {
				t.Fatalf("first: %d bytes, error %v", len(first.body), first.err)
			}
			second := s.blob("Range: bytes=40000-")
			if second.err == nil || len(second.body) != 40_000 || second.status != 206 {
				t.Fatalf("second: status %d, %d bytes, error %v", second.status, len(second.body), second.err)
			}
			third := s.blob("Range: bytes=80000-")
			if third.err != nil || first.body+second.body+third.body != s.whole {
				t.Errorf("third: status %d, %d bytes, error %v", third.status, len(third.body), third.err)
			}
		})
	}
}

func TestAFlippedByteLooksLikeASoundAnswer(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: FlipByte, Path: BlobPath, Bytes: 70_000})
	differs := func(got answer, offset int) []int {
		var at []int
		for i := range got.body {
			if got.body[i] != s.whole[offset+i] {
				at = append(at, offset+i)
			}
		}
		return at
	}
	whole := s.blob()
	if diff := cmp.Diff([]int{70_000}, differs(whole, 0)); whole.err != nil || len(whole.body) != layerSize || diff != "" {
		t.Errorf("whole: %d bytes, %v, wrong bytes (-want +got):\n%s", len(whole.body), whole.err, diff)
	}
	if diff := cmp.Diff([]int{70_000}, differs(s.blob("Range: bytes=69990-70010"), 69_990)); diff != "" {
		t.Errorf("range across it: wrong bytes (-want +got):\n%s", diff)
	}
	if at := differs(s.blob("Range: bytes=0-69999"), 0); at != nil {
		t.Errorf("range before it: wrong bytes %v", at)
	}
}

func TestAShortBodyEndsCleanly(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: ShortBody, Path: BlobPath, Bytes: 60_000})
	got := s.blob()
	if got.err != nil || got.status != 200 || got.body != s.whole[:60_000] || got.header.Get("Content-Length") != "60000" {
		t.Errorf("status %d, %d bytes, length %s, error %v", got.status, len(got.body), got.header.Get("Content-Length"), got.err)
	}
}

func TestARangeCanBeIgnored(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.Break(Fault{Kind: IgnoreRange, Service: CDN})
	if got := s.blob("Range: bytes=60000-"); got.status != 200 || got.body != s.whole {
		t.Errorf("status %d, %d bytes", got.status, len(got.body))
	}
}

func TestABadCertificateIsMetByTheVeryNextRequest(t *testing.T) {
	s := newScene(t, Options{TLS: true})
	restore := s.hub.Break(Fault{Kind: BadCertificate, Service: Registry})
	var invalid x509.CertificateInvalidError
	if got := s.manifest(http.MethodHead); !errors.As(got.err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("status %d, error %v", got.status, got.err)
	}
	restore()
	if got := s.manifest(http.MethodHead); got.status != 200 {
		t.Errorf("after restore: status %d, error %v", got.status, got.err)
	}
}

func TestACDNFaultOfARepositoryLeavesOthersAlone(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.AddBlob("library/redis", []byte("elsewhere"))
	restore := s.hub.Break(Fault{Kind: Status500, Path: CDNPath, Repository: "library/redis"})
	if got := s.blob(); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
	restore()
	s.hub.Break(Fault{Kind: Status500, Path: CDNPath, Repository: "library/nginx"})
	if got := s.blob(); got.status != 500 {
		t.Errorf("status %d, want 500", got.status)
	}
}
