package pulllimit

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics tells what limits counted and refused.
type Metrics struct {
	anonymous, authenticated pullMetrics
	subjects                 prometheus.Gauge
}

// pullMetrics are those of strangers, or of accounts.
type pullMetrics struct{ counted, refused prometheus.Counter }

// NewMetrics registers the metrics of pull limits with reg, once for each registry.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	factory := promauto.With(reg)
	counted := factory.NewCounterVec(prometheus.CounterOpts{
		Name: "larder_pull_limit_pulls_total",
		Help: "Pulls that were served and counted by a pull limit, by the limit: anonymous or authenticated.",
	}, []string{"limit"})
	refused := factory.NewCounterVec(prometheus.CounterOpts{
		Name: "larder_pull_limit_refused_total",
		Help: "Pulls that were refused by a pull limit, by the limit: anonymous or authenticated.",
	}, []string{"limit"})
	of := func(limit string) pullMetrics {
		return pullMetrics{counted: counted.WithLabelValues(limit), refused: refused.WithLabelValues(limit)}
	}
	return &Metrics{
		anonymous: of("anonymous"), authenticated: of("authenticated"),
		subjects: factory.NewGauge(prometheus.GaugeOpts{
			Name: "larder_pull_limit_sources",
			Help: "Accounts and addresses whose pulls are counted at present.",
		}),
	}
}

func (m *Metrics) of(s subject) *pullMetrics {
	if s.user == "" {
		return &m.anonymous
	}
	return &m.authenticated
}
