package upstream

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are shared by all registries of a process.
type Metrics struct {
	requests                 *prometheus.CounterVec
	limit, remaining, window *prometheus.GaugeVec
	refused                  *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them, once for each registerer.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	factory := promauto.With(registerer)
	gauge := func(name, help string) *prometheus.GaugeVec {
		return factory.NewGaugeVec(prometheus.GaugeOpts{Name: "larder_upstream_" + name, Help: help}, []string{"upstream", "credential"})
	}
	return &Metrics{
		requests: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_upstream_requests_total",
			Help: "Requests to upstream registries, their token services and their blob stores. The status is the HTTP status, or error when there was no answer.",
		}, []string{"upstream", "kind", "status"}),
		limit:     gauge("ratelimit_limit", "Pulls allowed in a window, as the upstream last said."),
		remaining: gauge("ratelimit_remaining", "Pulls left in the window, as the upstream last said; may be negative."),
		window:    gauge("ratelimit_window_seconds", "Length of the pull limit's window."),
		refused:   gauge("credential_refused", "1 when the upstream refused the credential, which is then not used any more."),
	}
}

func (m *Metrics) request(upstream string, kind CallKind, status int) {
	label := "error"
	if status != 0 {
		label = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(upstream, string(kind), label).Inc()
}

func (m *Metrics) budget(upstream string, b Budget) {
	m.limit.WithLabelValues(upstream, b.Credential).Set(float64(b.Limit))
	m.remaining.WithLabelValues(upstream, b.Credential).Set(float64(b.Remaining))
	m.window.WithLabelValues(upstream, b.Credential).Set(b.Window.Seconds())
}

// forget ends the time series of a credential that is not there any more.
func (m *Metrics) forget(upstream, credential string) {
	for _, gauge := range []*prometheus.GaugeVec{m.limit, m.remaining, m.window, m.refused} {
		gauge.DeleteLabelValues(upstream, credential)
	}
}
