package fairshare

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics tells what was held back.
type Metrics struct{ held *prometheus.CounterVec }

// NewMetrics makes the metrics and registers them.
func NewMetrics(to prometheus.Registerer) *Metrics {
	return &Metrics{held: promauto.With(to).NewCounterVec(prometheus.CounterOpts{
		Name: "larder_upstream_pulls_held_back_total",
		Help: "Pulls that were not asked of an upstream, by the rule: reserve, what is left is set aside for projects; or budget, the project has spent its own.",
	}, []string{"upstream", "rule"})}
}

func (m *Metrics) refused(upstream, rule string) { m.held.WithLabelValues(upstream, rule).Inc() }
