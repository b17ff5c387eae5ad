package server_test

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// stored is a stack whose blobs are in versitygw, behind a proxy that makes it fail.
type stored struct {
	*stack
	service *s3test.Service
	proxy   *s3test.Proxy
}

const (
	smallestPart = 5 << 20
	// patience is how long storage may be silent where it will be.
	patience = 2 * time.Second
	// untroubled is longer than a busy machine pauses.
	untroubled = 30 * time.Second
)

// newStored starts it; settings follow in the storage's URL.
func newStored(t *testing.T, settings string) *stored {
	t.Helper()
	return newStalling(t, settings, untroubled)
}

// newStalling is newStored with storage that may be silent for that long.
func newStalling(t *testing.T, settings string, stall time.Duration) *stored {
	t.Helper()
	service := startS3(t)
	proxy := s3test.NewProxy(service.Endpoint)
	t.Cleanup(proxy.Close)
	return &stored{newStackOnS3(t, proxy.Endpoint(), settings, stall), service, proxy}
}

func startS3(t *testing.T) *s3test.Service {
	t.Helper()
	service, err := s3test.Versitygw()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Stop)
	return service
}

// newStackOnS3 is newStack with blobs in S3, which may stall for that long.
func newStackOnS3(t *testing.T, endpoint *url.URL, settings string, stall time.Duration) *stack {
	t.Helper()
	// Another host name than Larder's, as in real life.
	endpoint.Host = "localhost:" + endpoint.Port()
	s := newStack(t, hubsim.Options{}, "")
	s.stop()
	s.env["AWS_ACCESS_KEY_ID"], s.env["AWS_SECRET_ACCESS_KEY"] = s3test.AccessKey, s3test.SecretKey
	s.args = append(s.args, "--storage", "s3://"+s3test.Bucket+"/images?path-style=true&region="+s3test.Region+
		"&endpoint="+url.QueryEscape(endpoint.String())+settings)
	s.change = func(c *server.Config) {
		c.Storage.PartSize, c.Storage.Stall, c.Storage.Tries = smallestPart, stall, 2
	}
	s.start()
	return s
}

// content makes size bytes.
func content(seed byte, size int) []byte {
	random := rand.NewChaCha8([32]byte{seed})
	p := make([]byte, size)
	_, _ = random.Read(p) // never fails
	return p
}

// post pushes to demo/app in one request.
func (s *stack) post(p []byte) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost,
		"http://"+s.larder.Addr().String()+"/v2/demo/app/blobs/uploads/?digest="+digest.FromBytes(p).String(), bytes.NewReader(p))
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return answer{status: resp.StatusCode, header: resp.Header}
}

func blobPath(p []byte) string { return "/v2/demo/app/blobs/" + digest.FromBytes(p).String() }

func (s *stack) pullBlob(p []byte) answer {
	s.t.Helper()
	return s.send(request{path: blobPath(p), admin: true})
}

func (s *stack) wantPushed(p []byte) {
	s.t.Helper()
	if got := s.post(p); got.status != http.StatusCreated {
		s.t.Fatalf("the push got %d", got.status)
	}
}

func TestAHotBlobIsServedWithoutItsStorage(t *testing.T) {
	s := newStored(t, "&hot=100MiB")
	p := content(1, 2*smallestPart)
	s.wantPushed(p)
	s.warm(p)
	s.proxy.Fail(s3test.Always(s3test.HangUp))
	s.pullBlob(p).is(t, digest.FromBytes(p))
	s.restartAndFail()
	s.pullBlob(p).is(t, digest.FromBytes(p))
	if got := s.send(request{path: "/metrics", admin: true}); !strings.Contains(string(got.body), `larder_hot_reads_total{result="hit"} `) || strings.Contains(string(got.body), `larder_hot_reads_total{result="hit"} 0`) {
		t.Errorf("the metrics do not count hits:\n%.2000s", got.body)
	}
}

// warm pulls a blob until it is served without its storage.
func (s *stored) warm(p []byte) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for asked := -1; asked != 0; asked = s.proxy.Seen(http.MethodGet) {
		s.proxy.Seen("")
		if s.pullBlob(p).is(s.t, digest.FromBytes(p)); time.Now().After(deadline) {
			s.t.Fatal("the storage is asked for the blob again and again")
		}
	}
}

func TestReadinessTellsThatStorageIsDownAlsoWhileHotBlobsAreServed(t *testing.T) {
	s := newStored(t, "&hot=100MiB")
	p := content(1, 100_000)
	s.wantPushed(p)
	s.warm(p)
	for range 3 { // what readiness reads would be hot by then
		s.becomesReady()
	}
	for name, fault := range map[string]s3test.Fault{
		"refuses": s3test.HangUp, "says nothing": s3test.Silence, "has lost its bucket": s3test.Answer(404, "NoSuchBucket"),
	} {
		s.proxy.Fail(s3test.Always(fault))
		if got := s.get("/readyz"); got.status != 503 || !strings.Contains(string(got.body), "storage") {
			t.Errorf("with storage that %s /readyz says %d %s", name, got.status, got.body)
		}
		if got := s.get("/healthz"); got.status != 200 {
			t.Errorf("with storage that %s /healthz says %d %s", name, got.status, got.body)
		}
		s.pullBlob(p).is(t, digest.FromBytes(p))
	}
	s.proxy.Fail(nil)
	s.becomesReady()
}

// restartAndFail starts again, for which the storage has to be there.
func (s *stored) restartAndFail() {
	s.t.Helper()
	s.proxy.Fail(nil)
	s.restart()
	s.proxy.Fail(s3test.Always(s3test.HangUp))
}

func TestAClientIsSentToStorageForHostedBlobsOnlyAndWhenThatIsOn(t *testing.T) {
	s := newStored(t, "&redirect=true")
	p := content(2, 100_000)
	s.wantPushed(p)
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	followed := s.client
	s.client = &http.Client{
		Transport: followed.Transport, Timeout: followed.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	sent := s.pullBlob(p)
	address := sent.header.Get("Location")
	if sent.status != http.StatusTemporaryRedirect || !strings.Contains(address, "X-Amz-Signature=") || sent.header.Get("Cache-Control") != "no-store" {
		t.Errorf("GET got %d with Location %q and Cache-Control %q", sent.status, address, sent.header.Get("Cache-Control"))
	}
	if got := s.send(request{method: http.MethodHead, path: blobPath(p), admin: true}); got.status != 200 || got.header.Get("Content-Length") != "100000" {
		t.Errorf("HEAD got %d with Content-Length %s", got.status, got.header.Get("Content-Length"))
	}
	if got := s.get(blobPath(p)); got.status != http.StatusUnauthorized || got.header.Get("Location") != "" {
		t.Errorf("a stranger got %d with Location %q", got.status, got.header.Get("Location"))
	}
	if got := s.send(request{path: blobPath([]byte("none")), admin: true}); got.status != http.StatusNotFound {
		t.Errorf("a blob that is not there got %d", got.status)
	}
	tests := []struct {
		name, header, value string
		want                int
	}{
		{"a range is redirected", "Range", "bytes=10-19", 307},
		{"a range that is not there is refused here", "Range", "bytes=100000-", 416},
		{"who has the blob is told so here", "If-None-Match", `"` + digest.FromBytes(p).String() + `"`, 304},
	}
	for _, tt := range tests {
		got := s.send(request{path: blobPath(p), admin: true, header: map[string]string{tt.header: tt.value}})
		if got.status != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got.status, tt.want)
		}
	}
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx+"blobs/"+layer.String()).wants(t, 200, "larder; hit").is(t, layer)

	s.client = followed
	s.pullBlob(p).is(t, digest.FromBytes(p))
	part := s.send(request{path: blobPath(p), admin: true, header: map[string]string{"Range": "bytes=10-19"}})
	if part.status != http.StatusPartialContent || !bytes.Equal(part.body, p[10:20]) {
		t.Errorf("the range that was followed got %d, %d bytes", part.status, len(part.body))
	}
	for _, secret := range []string{"X-Amz-Signature", "X-Amz-Credential", s3test.SecretKey} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

func TestAFaultOfTheStorageIsAClearErrorAndPasses(t *testing.T) {
	t.Parallel()
	s := newStalling(t, "&hot=0", patience)
	small, large := content(3, 1000), content(4, 2*smallestPart+1000)
	s.wantPushed(small)
	s.wantPushed(large)
	onGet := func(f s3test.Fault) func(*http.Request) s3test.Fault {
		return func(r *http.Request) s3test.Fault {
			if r.Method == http.MethodGet && r.URL.RawQuery == "" {
				return f
			}
			return nil
		}
	}
	tests := []struct {
		name       string
		fault      func(*http.Request) s3test.Fault
		push, pull int // 0: the connection breaks, or the body does
	}{
		{"500", s3test.Always(s3test.Answer(500, "InternalError")), 503, 503},
		{"503 slow down", s3test.Always(s3test.Answer(503, "SlowDown")), 503, 503},
		{"no answer", s3test.Always(s3test.Silence), 503, 503},
		{"the connection is closed", s3test.Always(s3test.HangUp), 503, 503},
		{"the bucket is gone", s3test.Always(s3test.Answer(404, "NoSuchBucket")), 503, 503},
		{"the keys are not taken any more", s3test.Always(s3test.Answer(403, "InvalidAccessKeyId")), 503, 503},
		{"the storage is full", s3test.Always(s3test.Answer(507, "XMinioStorageFull")), 507, 507},
		{"the requests are cut", s3test.Always(s3test.CutRequest), 503, 503},
		{"200 with an error, and putting parts together fails", s3test.Always(s3test.OKWithError), 503, 200},
		{"bodies are cut again and again", onGet(s3test.CutAnswer), 201, 0},
		{"bodies do not come", onGet(s3test.Silence), 201, 0},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &stored{stack: s.in(t), proxy: s.proxy}
			pushed := content(byte(100+i), 2*smallestPart+1000)
			s.proxy.Fail(tt.fault)
			s.wantRefused("push", s.post(pushed), tt.push, http.StatusCreated)
			for _, p := range [][]byte{small, large} {
				got, err := s.try(t.Context(), request{path: blobPath(p), admin: true})
				if tt.pull == 0 && err == nil && got.err == nil {
					t.Errorf("a pull got %d and %d bytes as if they were all", got.status, len(got.body))
				}
				if tt.pull != 0 {
					s.wantRefused("pull", got, tt.pull, http.StatusOK)
				}
			}
			s.proxy.Fail(nil)
			s.wantPushed(pushed)
			for _, p := range [][]byte{small, large, pushed} {
				s.pullBlob(p).is(t, digest.FromBytes(p))
			}
		})
	}
}

// in is the stack within another test.
func (s *stack) in(t *testing.T) *stack {
	inner := *s
	inner.t = t
	return &inner
}

// wantRefused expects a status, and the advice when to come back with a 503.
func (s *stack) wantRefused(what string, got answer, want, done int) {
	s.t.Helper()
	if got.status != want || got.err != nil {
		s.t.Errorf("the %s got %d, %v; want %d", what, got.status, got.err, want)
	}
	if want == done {
		return
	}
	if after := got.header.Get("Retry-After"); want == http.StatusServiceUnavailable && after == "" {
		s.t.Errorf("the %s got %d without Retry-After", what, got.status)
	}
}
