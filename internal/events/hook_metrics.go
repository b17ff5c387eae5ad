package events

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/metadata"
)

// Outcomes of attempts.
const (
	outcomeDelivered = "delivered"
	outcomeFailed    = "failed" // and is tried again
	outcomeGivenUp   = "given up"
)

// countLimit bounds how long the database may take to count.
const countLimit = 2 * time.Second

// HookMetrics are the metrics of deliveries to webhooks.
type HookMetrics struct {
	attempts *prometheus.CounterVec
	took     prometheus.Histogram
}

// NewHookMetrics registers them. Counts counts what waits when it is asked for.
func NewHookMetrics(to prometheus.Registerer, counts func(context.Context) (metadata.WebhookCounts, error)) *HookMetrics {
	m := newHookMetrics()
	gauge := func(name, help string, of func(metadata.WebhookCounts) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help + " NaN while the database does not tell."}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), countLimit)
			defer cancel()
			c, err := counts(ctx)
			if err != nil {
				return math.NaN()
			}
			return float64(of(c))
		})
	}
	to.MustRegister(m.attempts, m.took,
		gauge("larder_webhook_deliveries_waiting", "Deliveries that are to be tried, of all processes on the database.", func(c metadata.WebhookCounts) int64 { return c.Waiting }),
		gauge("larder_webhooks_set_aside", "Webhooks that nothing is delivered to, since they failed too often.", func(c metadata.WebhookCounts) int64 { return c.SetAside }),
	)
	return m
}

func newHookMetrics() *HookMetrics {
	return &HookMetrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_webhook_attempts_total", Help: "Attempts to deliver to webhooks, by event and outcome: delivered, failed or given up.",
		}, []string{"event", "outcome"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "larder_webhook_attempt_seconds", Help: "How long attempts to deliver to webhooks took.", Buckets: []float64{.05, .2, .5, 1, 2, 5, 10},
		}),
	}
}

func (m *HookMetrics) attempted(event, outcome string, took time.Duration) {
	m.attempts.WithLabelValues(event, outcome).Inc()
	m.took.Observe(took.Seconds())
}
