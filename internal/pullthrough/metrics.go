package pullthrough

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the caches do.
type Metrics struct {
	staleServed *prometheus.CounterVec
	fills       *prometheus.CounterVec
	fillBytes   *prometheus.CounterVec
	resumed     *prometheus.CounterVec
	detours     *prometheus.CounterVec
	active      prometheus.Gauge
}

// NewMetrics registers the caches' metrics.
func NewMetrics(to prometheus.Registerer) *Metrics {
	m := &Metrics{
		staleServed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_cache_stale_served_total", Help: "Answers given from a stale copy because the upstream could not be asked.",
		}, []string{"project"}),
		fills: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_fills_total", Help: "Blob transfers from an upstream that ended, by outcome.",
		}, []string{"project", "outcome"}),
		fillBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_fill_bytes_total", Help: "Bytes of blobs received from an upstream.",
		}, []string{"project"}),
		resumed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_fill_resumes_total", Help: "Broken blob transfers that were taken up again.",
		}, []string{"project"}),
		detours: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_fill_detours_total", Help: "Readers that fetched a part by themselves, of a blob that passed through because the disk was full.",
		}, []string{"project"}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "larder_fills_active", Help: "Blob transfers under way.",
		}),
	}
	to.MustRegister(m.staleServed, m.fills, m.fillBytes, m.resumed, m.detours, m.active)
	return m
}

func (m *Metrics) stale(project string) { m.staleServed.WithLabelValues(project).Inc() }

// ended counts a fill: "stored", "passed through", "unkept", "abandoned", "wrong digest"
// or "failed".
func (m *Metrics) ended(project, outcome string) { m.fills.WithLabelValues(project, outcome).Inc() }
