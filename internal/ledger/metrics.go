package ledger

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics are those of one ledger.
type Metrics struct {
	dropped prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(to prometheus.Registerer) *Metrics {
	return &Metrics{
		dropped: promauto.With(to).NewCounter(prometheus.CounterOpts{
			Name: "larder_ledger_dropped_total", Help: "Calls that were not booked because too many waited to be written.",
		}),
	}
}
