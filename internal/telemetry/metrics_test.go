package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRequestsAreCountedByClassAndNotByPath(t *testing.T) {
	h := wrap(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			RecordOf(w).Route = "blob"
			w.Header().Set("Cache-Status", "larder; hit")
			_, _ = io.WriteString(w, "12345")
			return
		}
		http.NotFound(w, r)
	})
	for _, target := range []string{"/v2/a/blobs/1", "/v2/b/blobs/2", "/wp-login.php"} {
		h.serve(httptest.NewRequest(http.MethodGet, target, nil))
	}
	strange := httptest.NewRequest(http.MethodGet, "/", nil)
	strange.Method = "FROBNICATE"
	h.serve(strange)

	want := `
# HELP larder_http_requests_total Requests served, by route, method, status class (or aborted) and what the cache did: hit, miss, stale or none.
# TYPE larder_http_requests_total counter
larder_http_requests_total{cache="hit",method="GET",route="blob",status="2xx"} 2
larder_http_requests_total{cache="none",method="GET",route="other",status="4xx"} 1
larder_http_requests_total{cache="none",method="other",route="other",status="4xx"} 1
# HELP larder_http_response_bytes_total Bytes of answers' bodies sent, by route and what the cache did.
# TYPE larder_http_response_bytes_total counter
larder_http_response_bytes_total{cache="hit",route="blob"} 10
larder_http_response_bytes_total{cache="none",route="other"} 38
`
	if err := testutil.GatherAndCompare(h.reg, strings.NewReader(want), "larder_http_requests_total", "larder_http_response_bytes_total"); err != nil {
		t.Error(err)
	}
	if got := testutil.CollectAndCount(h.metrics.duration); got != 3 {
		t.Errorf("%d histograms, want one for each of the 3 pairs of route and method", got)
	}
	if problems, err := testutil.GatherAndLint(h.reg); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

func TestARequestIsInFlightWhileItIsServed(t *testing.T) {
	var h *harness
	var during float64
	h = wrap(t, func(http.ResponseWriter, *http.Request) { during = testutil.ToFloat64(h.metrics.inFlight) })
	h.serve(httptest.NewRequest(http.MethodGet, "/", nil))
	if after := testutil.ToFloat64(h.metrics.inFlight); during != 1 || after != 0 {
		t.Errorf("in flight are %v during the request and %v after it", during, after)
	}
}

func TestTheCacheResultIsTheClassOfCacheStatus(t *testing.T) {
	tests := map[string]string{
		"":                                      "none",
		"larder; hit":                           "hit",
		"larder; hit; ttl=30":                   "hit",
		"larder; hit; ttl=-5":                   "stale",
		"larder; hit; detail=stale-if-error":    "stale",
		"larder; fwd=miss; stored":              "miss",
		"larder; fwd=miss; collapsed":           "miss",
		"larder; fwd=stale; fwd-status=200":     "miss",
		"larder; fwd=stale; detail=revalidated": "hit",
	}
	for value, want := range tests {
		if got := cacheResult(value); got != want {
			t.Errorf("%q is a %s, want %s", value, got, want)
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	log, flush := NewLogger(io.Discard, slog.LevelInfo, "json")
	defer flush()
	handler := Middleware(log, NewMetrics(prometheus.NewRegistry()), NewClientAddress(prefixes(b, "10.0.0.0/8")),
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			record := RecordOf(w)
			record.Route, record.User = "manifest", "alice"
			w.Header().Set("Cache-Status", "larder; hit")
			w.WriteHeader(http.StatusOK)
		}))
	r := httptest.NewRequest(http.MethodGet, "/v2/docker-hub/library/nginx/manifests/latest", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		w := httptest.NewRecorder()
		for pb.Next() {
			handler.ServeHTTP(w, r)
		}
	})
}
