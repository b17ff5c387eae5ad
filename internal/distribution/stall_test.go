package distribution_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/distribution"
)

// impatient serves the fixture with a short stall, and tells when a request has ended.
func impatient(f *fixture) (ended chan struct{}) {
	f.config.Stall = 100 * time.Millisecond
	ended = make(chan struct{}, 8)
	h := distribution.New(f.config)
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		h.ServeHTTP(w, r)
	})
	return ended
}

func waitFor(t *testing.T, ended chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the request is still waited for")
	}
}

func (f *fixture) dial() net.Conn {
	f.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.URL, "http://"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestAClientThatTakesNothingIsNotWaitedFor(t *testing.T) {
	f := newFixture(t)
	d := f.pushBlob("demo/app", bytes.Repeat([]byte("x"), 64<<20), digest.SHA256)
	ended := impatient(f)
	conn := f.dial()
	r := httptest.NewRequest("GET", "http://larder/v2/demo/app/blobs/"+d.String(), nil)
	r.SetBasicAuth("admin", f.secrets["admin"])
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ended)
}

func TestAClientThatSendsNothingIsNotWaitedForAndItsBytesAreKept(t *testing.T) {
	f := newFixture(t)
	ended := impatient(f)
	location := f.startUpload("demo/app", "")
	waitFor(t, ended)
	conn := f.dial()
	r := httptest.NewRequest("PATCH", "http://larder"+location, nil)
	r.SetBasicAuth("admin", f.secrets["admin"])
	_, err := fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: larder\r\nAuthorization: %s\r\nContent-Length: 1000\r\n\r\nhello", location, r.Header.Get("Authorization"))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, ended)
	f.get(location).expect(t, 204, "").header(t, "Range", "0-4")
}

func TestABrokenPatchKeepsWhatArrived(t *testing.T) {
	f := newFixture(t)
	content := bytes.Repeat([]byte("0123456789"), 50_000)
	location := f.startUpload("demo/app", "")
	r, err := http.NewRequestWithContext(t.Context(), "PATCH", f.url(location), io.MultiReader(bytes.NewReader(content[:300_000]), failing{}))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", f.secrets["admin"])
	if got, err := f.Client().Do(r); err == nil {
		_ = got.Body.Close()
		t.Fatalf("answered %s", got.Status)
	}
	var kept int
	for deadline := time.Now().Add(20 * time.Second); kept == 0 && time.Now().Before(deadline); {
		if _, err := fmt.Sscanf(f.get(location).expect(t, 204, "").Header.Get("Range"), "0-%d", &kept); err != nil {
			t.Fatal(err)
		}
	}
	rest := content[kept+1:]
	d := digest.FromBytes(content).String()
	f.do(request{method: "PUT", path: location + "?digest=" + d, body: rest, header: map[string]string{"Content-Range": fmt.Sprintf("%d-%d", kept+1, len(content)-1)}}).expect(t, 201, "")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the client breaks off") }

func TestManyClientsPushAndPullTheSameAtOnce(t *testing.T) {
	f := newFixture(t)
	content := bytes.Repeat([]byte("layer"), 100_000)
	d := digest.FromBytes(content).String()
	manifest := f.image("demo/app", nil)
	failures := make(chan error, 16)
	for i := range cap(failures) {
		go func() { failures <- f.pushAndPull(fmt.Sprintf("v%d", i), d, content, manifest) }()
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
}

// pushAndPull pushes a blob and a tag and reads both back.
func (f *fixture) pushAndPull(tag, d string, content, manifest []byte) error {
	steps := []struct {
		method, path string
		body         []byte
		want         []byte
	}{
		{"POST", "/v2/demo/app/blobs/uploads/?digest=" + d, content, []byte{}},
		{"GET", "/v2/demo/app/blobs/" + d, nil, content},
		{"PUT", "/v2/demo/app/manifests/" + tag, manifest, []byte{}},
		{"GET", "/v2/demo/app/manifests/" + tag, nil, manifest},
	}
	for _, step := range steps {
		r, err := http.NewRequest(step.method, f.URL+step.path, bytes.NewReader(step.body))
		if err != nil {
			return err
		}
		r.SetBasicAuth("admin", f.secrets["admin"])
		got, err := f.Client().Do(r)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if err != nil || got.StatusCode/100 != 2 || !bytes.Equal(step.want, body) {
			return fmt.Errorf("%s %s answered %s with %d bytes: %w", step.method, step.path, got.Status, len(body), err)
		}
	}
	return nil
}
