package distribution_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

// arriving is a blob whose bytes are there and whose digest is not known to be right.
type arriving struct {
	*bytes.Reader
	size    int64
	failAt  int64 // reading fails from there on; -1 for never
	asked   chan struct{}
	once    sync.Once
	verdict chan error
}

func newArriving(content []byte) *arriving {
	return &arriving{Reader: bytes.NewReader(content), size: int64(len(content)), failAt: -1, asked: make(chan struct{}), verdict: make(chan error, 1)}
}

func (a *arriving) Read(p []byte) (int, error) {
	at, _ := a.Seek(0, io.SeekCurrent)
	if a.failAt >= 0 {
		if at >= a.failAt {
			return 0, errors.New("the upstream sent wrong bytes")
		}
		p = p[:min(int64(len(p)), a.failAt-at)]
	}
	return a.Reader.Read(p)
}

func (a *arriving) Size() int64  { return a.size }
func (a *arriving) Close() error { return nil }

func (a *arriving) Verified(ctx context.Context) error {
	a.once.Do(func() { close(a.asked) })
	select {
	case err := <-a.verdict:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// protocols runs a test over HTTP/1.1 and HTTP/2.
func protocols(t *testing.T, f *fixture, run func(t *testing.T, url string, client *http.Client)) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(version, func(t *testing.T) {
			server := httptest.NewUnstartedServer(distribution.New(f.config))
			server.EnableHTTP2 = version == "HTTP/2.0"
			server.StartTLS()
			defer server.Close()
			client := server.Client()
			if transport, ok := client.Transport.(*http.Transport); ok && !server.EnableHTTP2 {
				transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
			}
			probe, err := client.Get(server.URL + "/v2/")
			if err != nil {
				t.Fatal(err)
			}
			_ = probe.Body.Close()
			if probe.Proto != version {
				t.Fatalf("the test speaks %s", probe.Proto)
			}
			run(t, server.URL, client)
		})
	}
}

type ask struct {
	name   string
	ranges string
	size   bool // the size is known
	status int
	want   func(content []byte) []byte
}

func asks() []ask {
	whole := func(content []byte) []byte { return content }
	return []ask{
		{name: "the whole", size: true, status: 200, want: whole},
		{name: "a range at the start", size: true, ranges: "bytes=0-9999", status: 206, want: func(c []byte) []byte { return c[:10_000] }},
		{name: "one byte in the middle", size: true, ranges: "bytes=500-500", status: 206, want: func(c []byte) []byte { return c[500:501] }},
		{name: "several ranges", size: true, ranges: "bytes=0-1,5-6", status: 200, want: whole},
		{name: "the whole of unknown size", status: 200, want: whole},
		{name: "a range of unknown size", ranges: "bytes=0-9", status: 200, want: whole},
	}
}

func TestTheLastByteWaitsForTheDigest(t *testing.T) {
	f := newFixture(t)
	cache := f.cache("docker-hub")
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	path := "/v2/docker-hub/library/nginx/blobs/" + digest.FromBytes(content).String()
	protocols(t, f, func(t *testing.T, url string, client *http.Client) {
		for _, test := range asks() {
			for _, verdict := range []error{nil, errors.New("the digest is another one")} {
				name := test.name + " that is right"
				if verdict != nil {
					name = test.name + " that is wrong"
				}
				t.Run(name, func(t *testing.T) {
					blob := newArriving(content)
					if !test.size {
						blob.size = -1
					}
					cache.blob = func(context.Context) oci.Blob { return blob }
					got := fetch(t, client, url+path, test.ranges)
					defer func() { _ = got.Body.Close() }()
					if got.StatusCode != test.status {
						t.Fatalf("answered %s", got.Status)
					}
					want := test.want(content)
					body := make([]byte, len(want)-1)
					if _, err := io.ReadFull(got.Body, body); err != nil || !bytes.Equal(want[:len(want)-1], body) {
						t.Fatalf("all but the last byte did not come before the verdict: %v", err)
					}
					<-blob.asked
					blob.verdict <- verdict
					rest, err := io.ReadAll(got.Body)
					if verdict == nil && (err != nil || !bytes.Equal(want[len(want)-1:], rest)) {
						t.Errorf("the end is %q, %v", rest, err)
					}
					if verdict != nil && (err == nil || len(rest) != 0) {
						t.Errorf("a wrong blob ended cleanly, with %q", rest)
					}
				})
			}
		}
	})
}

func fetch(t *testing.T, client *http.Client, url, ranges string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ranges != "" {
		r.Header.Set("Range", ranges)
	}
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestATransferThatBreaksNeverEndsCleanly(t *testing.T) {
	f := newFixture(t)
	cache := f.cache("docker-hub")
	content := bytes.Repeat([]byte("x"), 100_000)
	path := "/v2/docker-hub/library/nginx/blobs/" + digest.FromBytes(content).String()
	protocols(t, f, func(t *testing.T, url string, client *http.Client) {
		for _, size := range []int64{int64(len(content)), -1} {
			for _, failAt := range []int64{0, 1, 50_000, 99_999} {
				blob := newArriving(content)
				blob.size, blob.failAt = size, failAt
				blob.verdict <- nil
				cache.blob = func(context.Context) oci.Blob { return blob }
				r, err := http.NewRequestWithContext(t.Context(), "GET", url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := client.Do(r)
				if err != nil {
					continue // cut before the header: no clean end either
				}
				body, err := io.ReadAll(got.Body)
				_ = got.Body.Close()
				if err == nil {
					t.Errorf("size %d, broken at %d: a clean end after %d bytes", size, failAt, len(body))
				}
			}
		}
	})
}

func TestAnEmptyBlobWaitsForItsDigestToo(t *testing.T) {
	f := newFixture(t)
	cache := f.cache("docker-hub")
	path := "/v2/docker-hub/library/nginx/blobs/" + digest.FromString("not empty").String()
	for _, size := range []int64{0, -1} {
		blob := newArriving(nil)
		blob.size = size
		blob.verdict <- &oci.Error{Code: oci.CodeUpstreamInvalid, Message: "the digest is another one"}
		cache.blob = func(context.Context) oci.Blob { return blob }
		r, err := http.NewRequestWithContext(t.Context(), "GET", f.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Client().Transport.RoundTrip(r)
		if err != nil {
			continue
		}
		_ = got.Body.Close()
		if got.StatusCode != http.StatusBadGateway {
			t.Errorf("size %d: an empty blob with a wrong digest answered %s", size, got.Status)
		}
	}
}
