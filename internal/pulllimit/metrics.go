package pulllimit

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics tells what limits counted and refused.
type Metrics struct {
	counted  *prometheus.CounterVec
	refused  *prometheus.CounterVec
	subjects prometheus.Gauge
}

// NewMetrics registers the metrics of pull limits with reg, once for each registry.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	factory := promauto.With(reg)
	return &Metrics{
		counted: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_pull_limit_pulls_total",
			Help: "Pulls that were served and counted by a pull limit, by the limit: anonymous or authenticated.",
		}, []string{"limit"}),
		refused: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_pull_limit_refused_total",
			Help: "Pulls that were refused by a pull limit, by the limit: anonymous or authenticated.",
		}, []string{"limit"}),
		subjects: factory.NewGauge(prometheus.GaugeOpts{
			Name: "larder_pull_limit_sources",
			Help: "Accounts and addresses whose pulls are counted at present.",
		}),
	}
}
