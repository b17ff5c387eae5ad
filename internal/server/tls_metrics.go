package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// expiry tells when the certificates of listeners end.
type expiry struct {
	description *prometheus.Desc
	ends        map[string]func() time.Time // by listener; zero: there is no certificate yet
}

// measureExpiry has metrics tell it of listeners, without those that are nil.
func measureExpiry(to prometheus.Registerer, of map[string]certificates) {
	e := &expiry{
		description: prometheus.NewDesc("larder_certificate_expiry_timestamp_seconds",
			"When the certificate that a listener shows ends, in seconds since 1970.", []string{"listener"}, nil),
		ends: map[string]func() time.Time{},
	}
	for listener, certs := range of {
		if certs != nil {
			e.ends[listener] = certs.ends
		}
	}
	to.MustRegister(e)
}

// Describe implements prometheus.Collector.
func (e *expiry) Describe(to chan<- *prometheus.Desc) { to <- e.description }

// Collect implements prometheus.Collector.
func (e *expiry) Collect(to chan<- prometheus.Metric) {
	for listener, ends := range e.ends {
		if at := ends(); !at.IsZero() {
			to <- prometheus.MustNewConstMetric(e.description, prometheus.GaugeValue, float64(at.Unix()), listener)
		}
	}
}
