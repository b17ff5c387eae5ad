package gc

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// checkEvery is how often the cache is measured, and checkAfter after how many bytes
	// of fills it is measured before that.
	checkEvery = time.Minute
	checkAfter = 1 << 30
)

// Watch checks the cache every minute, and after each gibibyte that was stored, until ctx
// ends.
func (e *Evictor) Watch(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		if err := e.Check(ctx); err != nil && ctx.Err() == nil {
			e.Log.Warn("holding the cache to its size", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.check:
		}
	}
}

// Stored is told how many bytes a fill has stored.
func (e *Evictor) Stored(bytes int64) {
	if e.stored.Add(bytes) < checkAfter {
		return
	}
	select {
	case e.check <- struct{}{}:
	default: // a check is due already
	}
}

// EvictionMetrics counts what is evicted.
type EvictionMetrics struct {
	cached         prometheus.Gauge
	evicted, freed prometheus.Counter
}

// NewEvictionMetrics registers the evictor's metrics.
func NewEvictionMetrics(to prometheus.Registerer) *EvictionMetrics {
	m := &EvictionMetrics{
		cached: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "larder_cached_bytes", Help: "Bytes of blobs that cache projects hold and no hosted project, as last measured.",
		}),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "larder_evicted_images_total", Help: "Cached images that were evicted.",
		}),
		freed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "larder_evicted_bytes_total", Help: "Bytes that were freed by evicting cached images.",
		}),
	}
	to.MustRegister(m.cached, m.evicted, m.freed)
	return m
}
