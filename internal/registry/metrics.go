package registry

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what is found in storage.
type Metrics struct {
	readings *prometheus.CounterVec
	damaged  *prometheus.CounterVec
}

// NewMetrics registers the metrics.
func NewMetrics(to prometheus.Registerer) *Metrics {
	m := newMetrics()
	to.MustRegister(m.readings, m.damaged)
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
