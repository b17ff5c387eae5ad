package tier

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count what the tier saves.
type Metrics struct {
	hits, misses, joined prometheus.Counter
	fetched, failures    prometheus.Counter
	kept                 prometheus.Gauge
}

// NewMetrics makes the metrics and registers them, once for each registerer; nil
// registers them nowhere.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	factory := promauto.With(registerer)
	reads := factory.NewCounterVec(prometheus.CounterOpts{
		Name: "larder_hot_reads_total",
		Help: "Blobs opened, by where they came from: hit is the local folder, joined one that was on its way into it, miss the storage.",
	}, []string{"result"})
	return &Metrics{
		hits: reads.WithLabelValues("hit"), misses: reads.WithLabelValues("miss"), joined: reads.WithLabelValues("joined"),
		fetched: factory.NewCounter(prometheus.CounterOpts{
			Name: "larder_hot_fetched_bytes_total", Help: "Bytes that were read from the storage into the local folder.",
		}),
		failures: factory.NewCounter(prometheus.CounterOpts{
			Name: "larder_hot_failures_total", Help: "Blobs that could not be kept in the local folder; they were read from the storage.",
		}),
		kept: factory.NewGauge(prometheus.GaugeOpts{
			Name: "larder_hot_bytes", Help: "Bytes of the blobs in the local folder.",
		}),
	}
}
