package warm

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// What came of a tag that was to be refreshed.
const (
	outcomeCurrent = "current"
	outcomeMoved   = "moved"
	outcomeSpared  = "spared"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"
)

// RefreshMetrics counts the tags that were refreshed.
type RefreshMetrics struct{ tags *prometheus.CounterVec }

// NewRefreshMetrics makes the metrics and registers them.
func NewRefreshMetrics(to prometheus.Registerer) *RefreshMetrics {
	return &RefreshMetrics{tags: promauto.With(to).NewCounterVec(prometheus.CounterOpts{
		Name: "larder_upstream_refreshed_tags_total",
		Help: "Tags that were asked for before anybody pulled them, by outcome: current; moved, and fetched; spared, since too few pulls are left; refused, the upstream does not show it; failed.",
	}, []string{"upstream", "outcome"})}
}

func (m *RefreshMetrics) refreshed(upstream, outcome string) {
	m.tags.WithLabelValues(upstream, outcome).Inc()
}
