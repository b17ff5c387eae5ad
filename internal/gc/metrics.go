package gc

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what collections remove.
type Metrics struct {
	runs    *prometheus.CounterVec
	removed *prometheus.CounterVec
	freed   prometheus.Counter
}

// NewMetrics registers the collector's metrics.
func NewMetrics(to prometheus.Registerer) *Metrics {
	m := &Metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_gc_runs_total", Help: "Collections of what nothing refers to that ended, by outcome.",
		}, []string{"outcome"}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_gc_removed_total", Help: "What collections removed: links of blobs in repositories, blobs, and bytes that belonged to none.",
		}, []string{"kind"}),
		freed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "larder_gc_freed_bytes_total", Help: "Bytes of storage that collections freed.",
		}),
	}
	to.MustRegister(m.runs, m.removed, m.freed)
	return m
}

// ended counts a run, also one that an error has cut short.
func (m *Metrics) ended(removed Summary, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.runs.WithLabelValues(outcome).Inc()
	m.removed.WithLabelValues(string(Link)).Add(float64(removed.Links))
	m.removed.WithLabelValues(string(Blob)).Add(float64(removed.Blobs))
	m.removed.WithLabelValues(string(Orphan)).Add(float64(removed.Orphans))
	m.freed.Add(float64(removed.Bytes))
}
