package telemetry

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are those of the requests served. Every label has few values, whatever
// clients send.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	bytes    *prometheus.CounterVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

// NewMetrics registers the metrics of the requests with reg, once for each
// registry.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	factory := promauto.With(reg)
	return &Metrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_http_requests_total",
			Help: "Requests served, by route, method, status class (or aborted) and what the cache did: hit, miss, stale or none.",
		}, []string{"route", "method", "status", "cache"}),
		duration: factory.NewHistogramVec(prometheus.HistogramOpts{
			Name: "larder_http_request_duration_seconds",
			Help: "Time from a request's header to the end of its answer.",
			// From a warm manifest to a large blob on a slow line.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}, []string{"route", "method"}),
		bytes: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_http_response_bytes_total",
			Help: "Bytes of answers' bodies sent, by route and what the cache did.",
		}, []string{"route", "cache"}),
		inFlight: factory.NewGauge(prometheus.GaugeOpts{
			Name: "larder_http_requests_in_flight",
			Help: "Requests being served.",
		}),
		panics: factory.NewCounter(prometheus.CounterOpts{
			Name: "larder_http_panics_total",
			Help: "Requests that ended in a panic; each is logged with its stack.",
		}),
	}
}

// observe counts one request that has ended.
func (m *Metrics) observe(method string, w *response, cacheStatus string, aborted bool, took time.Duration) {
	route, cache := w.record.Route, cacheResult(cacheStatus)
	if route == "" {
		route = "other"
	}
	method = methodLabel(method)
	m.requests.WithLabelValues(route, method, statusClass(w.status, aborted), cache).Inc()
	m.duration.WithLabelValues(route, method).Observe(took.Seconds())
	m.bytes.WithLabelValues(route, cache).Add(float64(w.sent))
}

// methodLabel keeps made-up methods from becoming labels.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func statusClass(status int, aborted bool) string {
	if aborted {
		return statusAborted
	}
	return strconv.Itoa(status/100) + "xx"
}

// cacheResult is the class of a Cache-Status header (RFC 9211): a "hit" took its
// bytes from the cache, after asking upstream or not; a "stale" one could not be
// checked; a "miss" fetched them, or joined whoever did.
func cacheResult(value string) string {
	if value == "" {
		return "none"
	}
	result := "miss"
	for param := range strings.SplitSeq(value, ";") {
		param = trim(param)
		switch {
		case strings.HasPrefix(param, "ttl=-"), strings.HasPrefix(param, "detail=stale"):
			return "stale"
		case param == "hit", param == "detail=revalidated":
			result = "hit"
		}
	}
	return result
}
