package registry

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what is found in storage.
type Metrics struct {
	readings *prometheus.CounterVec
	damaged  *prometheus.CounterVec
}

// countLimit bounds how long a scrape waits for the database.
const countLimit = time.Second

// NewMetrics registers the metrics. Damaged counts the blobs that are damaged now, of all
// replicas together.
func NewMetrics(to prometheus.Registerer, damaged func(context.Context) (int64, error)) *Metrics {
	m := newMetrics()
	now := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "larder_damaged_blobs",
		Help: "Pushed blobs that are damaged or gone now: larder fsck names them, a push mends them. NaN while the database does not tell.",
	}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), countLimit)
		defer cancel()
		count, err := damaged(ctx)
		if err != nil {
			return math.NaN()
		}
		return float64(count)
	})
	to.MustRegister(m.readings, m.damaged, now)
	return m
}

func newMetrics() *Metrics {
	return &Metrics{
		readings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_blob_verifications_total", Help: "Stored blobs that were read back to be verified, by outcome.",
		}, []string{"outcome"}),
		damaged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_damaged_blobs_total", Help: "Stored blobs that were found damaged or gone, and set aside.",
		}, []string{"kind"}),
	}
}

// verified counts a reading: "sound", "damaged", "changed" or "failed".
func (m *Metrics) verified(err error) {
	outcome := "failed"
	switch {
	case err == nil:
		outcome = "sound"
	case errors.Is(err, ErrDamaged):
		outcome = "damaged"
	case errors.Is(err, errChanged):
		outcome = "changed"
	}
	m.readings.WithLabelValues(outcome).Inc()
}

func (m *Metrics) setAside(hosted bool) {
	kind := "cache"
	if hosted {
		kind = "hosted"
	}
	m.damaged.WithLabelValues(kind).Inc()
}
