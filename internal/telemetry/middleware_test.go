package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
)

// harness is a middleware whose log lines a test can read.
type harness struct {
	http.Handler
	log     bytes.Buffer
	metrics *Metrics
	reg     *prometheus.Registry
}

func wrap(t testing.TB, next http.HandlerFunc) *harness {
	t.Helper()
	h := &harness{reg: prometheus.NewRegistry()}
	h.metrics = NewMetrics(h.reg)
	log := slog.New(slog.NewJSONHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.Handler = Middleware(log, h.metrics, NewClientAddress(prefixes(t, "10.0.0.0/8")), next)
	return h
}

// serve sends a request through the middleware and says whether the connection
// would have been cut.
func (h *harness) serve(r *http.Request) (w *httptest.ResponseRecorder, cut bool) {
	w = httptest.NewRecorder()
	defer func() {
		thrown := recover()
		if thrown == nil {
			return
		}
		err, ok := thrown.(error)
		if cut = ok && errors.Is(err, http.ErrAbortHandler); !cut {
			panic(thrown)
		}
	}()
	h.ServeHTTP(w, r)
	return w, false
}

// lines are the log lines written since the last call.
func (h *harness) lines(t *testing.T) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(h.log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		found = append(found, entry)
	}
	h.log.Reset()
	return found
}

// line is the one log line written since the last call.
func (h *harness) line(t *testing.T) map[string]any {
	t.Helper()
	lines := h.lines(t)
	if len(lines) != 1 {
		t.Fatalf("%d log lines, want 1: %v", len(lines), lines)
	}
	return lines[0]
}

func TestALineTellsWhatMattersOfARequest(t *testing.T) {
	h := wrap(t, func(w http.ResponseWriter, _ *http.Request) {
		record := RecordOf(w)
		record.User, record.Route = "alice", "manifest"
		record.ErrorCode, record.Cause = "MANIFEST_UNKNOWN", errors.New("upstream said 404")
		w.Header().Set("Cache-Status", "larder; fwd=miss; fwd-status=404")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "not here")
	})
	r := httptest.NewRequest(http.MethodGet, "/v2/library/nginx/manifests/latest?ns=docker.io&n=5&last=b&token=secret&_state=secret", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	r.Header.Set("X-Request-Id", "from-the-proxy_1")
	r.Header.Set("Authorization", "Bearer secret")
	w, _ := h.serve(r)

	if got := w.Header().Get("X-Request-Id"); got != "from-the-proxy_1" {
		t.Errorf("X-Request-Id of the answer is %q", got)
	}
	if strings.Contains(h.log.String(), "secret") {
		t.Errorf("a secret is in the log: %s", h.log.String())
	}
	want := map[string]any{
		"level": "INFO", "msg": "request", "method": "GET", "path": "/v2/library/nginx/manifests/latest",
		"ns": "docker.io", "n": "5", "last": "b", "status": 404.0, "bytes": 8.0, "client": "203.0.113.7",
		"user": "alice", "cache": "larder; fwd=miss; fwd-status=404", "request_id": "from-the-proxy_1",
		"error": "MANIFEST_UNKNOWN", "cause": "upstream said 404",
	}
	got := h.line(t)
	if _, ok := got["seconds"].(float64); !ok {
		t.Errorf("seconds are %v", got["seconds"])
	}
	ignored := cmpopts.IgnoreMapEntries(func(key string, _ any) bool { return key == "time" || key == "seconds" })
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Errorf("log line (-want +got):\n%s", diff)
	}
}

func TestProbesAreLoggedAtDebug(t *testing.T) {
	h := wrap(t, func(http.ResponseWriter, *http.Request) {})
	tests := []struct{ method, path, want string }{
		{"GET", "/healthz", "DEBUG"},
		{"HEAD", "/readyz", "DEBUG"},
		{"GET", "/metrics", "DEBUG"},
		{"POST", "/healthz", "INFO"},
		{"GET", "/healthz/more", "INFO"},
		{"GET", "/v2/", "INFO"},
	}
	for _, tt := range tests {
		h.serve(httptest.NewRequest(tt.method, tt.path, nil))
		if got := h.line(t)["level"]; got != tt.want {
			t.Errorf("%s %s is logged at %s, want %s", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestARequestIDIsTakenFromTrustedProxiesOnly(t *testing.T) {
	h := wrap(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	tests := []struct {
		name, remote, id string
		taken            bool
	}{
		{"a trusted proxy's", "10.0.0.1:1", "7f3c-11/a:b=", true},
		{"a stranger's", "203.0.113.7:1", "7f3c-11", false},
		{"one with a space", "10.0.0.1:1", "7f3c 11", false},
		{"one with a line break", "10.0.0.1:1", "a\nlevel=ERROR", false},
		{"one that is too long", "10.0.0.1:1", strings.Repeat("a", 129), false},
		{"none", "10.0.0.1:1", "", false},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		r := request(tt.remote, http.Header{"X-Request-Id": {tt.id}})
		w, _ := h.serve(r)
		got := w.Header().Get("X-Request-Id")
		if (got == tt.id) != tt.taken || len(got) < 10 || seen[got] {
			t.Errorf("%s: the id is %q", tt.name, got)
		}
		if logged := h.line(t)["request_id"]; logged != got {
			t.Errorf("%s: the id is %q in the answer and %q in the log", tt.name, got, logged)
		}
		seen[got] = true
	}
}

func TestAnAnswerThatIsNoErrorTellsNoRequestID(t *testing.T) {
	for _, status := range []int{200, 206, 302, 304} {
		h := wrap(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if w, _ := h.serve(request("10.0.0.1:1", http.Header{"X-Request-Id": {"from-the-proxy"}})); w.Header().Get("X-Request-Id") != "" {
			t.Errorf("%d has %v", status, w.Header())
		}
	}
}

func TestWhatStrangersSendIsBoundedInTheLog(t *testing.T) {
	h := wrap(t, func(w http.ResponseWriter, _ *http.Request) { RecordOf(w).User = strings.Repeat("u", 100_000) })
	long := strings.Repeat("x", 100_000)
	r := httptest.NewRequest(http.MethodGet, "/"+long+"?ns="+long+"&last="+long, nil)
	r.Method = long
	h.serve(r)
	if got := h.log.Len(); got > 8000 {
		t.Errorf("the log line has %d bytes", got)
	}
}

func TestTheStatusAndTheBytesAreThoseSent(t *testing.T) {
	tests := []struct {
		name   string
		method string
		next   http.HandlerFunc
		status float64
		bytes  float64
	}{
		{"an empty answer is 200", "GET", func(http.ResponseWriter, *http.Request) {}, 200, 0},
		{"the first status counts", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) }, 201, 0},
		{"early hints are not the answer", "GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(404) }, 404, 0},
		{"a write sends 200", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("abc")); w.WriteHeader(500) }, 200, 3},
		{"a copy sends 200", "GET", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("abcd")) }, 200, 4},
		{"a copy of nothing leaves the status open", "GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(""))
			w.WriteHeader(502)
		}, 502, 0},
		{"a flush sends 200", "GET", func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			w.WriteHeader(500)
		}, 200, 0},
		{"the body of a HEAD is not sent", "HEAD", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("abc")) }, 200, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := wrap(t, tt.next)
			h.serve(httptest.NewRequest(tt.method, "/", nil))
			line := h.line(t)
			if line["status"] != tt.status || line["bytes"] != tt.bytes {
				t.Errorf("logged are status %v and %v bytes, want %v and %v", line["status"], line["bytes"], tt.status, tt.bytes)
			}
		})
	}
}

// readerFrom notes what it is given to send.
type readerFrom struct {
	*httptest.ResponseRecorder
	file bool
}

func (w *readerFrom) ReadFrom(src io.Reader) (int64, error) {
	if limited, ok := src.(*io.LimitedReader); ok {
		_, w.file = limited.R.(*os.File)
	}
	return io.Copy(w.ResponseRecorder, src)
}

func TestAFileReachesTheConnectionAsAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(name, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := wrap(t, func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = f.Close() }()
		http.ServeContent(w, r, "", time.Time{}, f)
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Range", "bytes=2-5")
	w := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(w, r)
	if !w.file {
		t.Error("the server does not get the file itself, so the kernel cannot send it")
	}
	if line := h.line(t); w.Body.String() != "2345" || line["bytes"] != 4.0 || line["status"] != 206.0 {
		t.Errorf("sent %q; logged %v", w.Body, line)
	}
}

// wrapped is another wrapper around the middleware's writer.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestTheRecordIsFoundThroughOtherWrappers(t *testing.T) {
	h := wrap(t, func(w http.ResponseWriter, _ *http.Request) { RecordOf(wrapped{wrapped{w}}).User = "bob" })
	h.serve(httptest.NewRequest(http.MethodGet, "/", nil))
	if got := h.line(t)["user"]; got != "bob" {
		t.Errorf("user is %v", got)
	}
}

func TestARecordWithoutTheMiddlewareIsThrownAway(t *testing.T) {
	for _, w := range []http.ResponseWriter{nil, httptest.NewRecorder(), wrapped{nil}, wrapped{httptest.NewRecorder()}} {
		RecordOf(w).User = "nobody"
		if got := RecordOf(w).User; got != "" {
			t.Errorf("the record of %T has the user %s", w, got)
		}
	}
}
