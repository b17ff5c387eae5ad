package admission

import "github.com/prometheus/client_golang/prometheus"

// Metrics count reviews.
type Metrics struct {
	images prometheus.Counter
	kept   *prometheus.CounterVec
}

// NewMetrics registers them.
func NewMetrics(to prometheus.Registerer) *Metrics {
	m := &Metrics{
		images: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "larder_admission_images_rewritten_total", Help: "Images of pods that were rewritten.",
		}),
		kept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_admission_pods_left_total", Help: "Reviews of pods that kept their images, by reason.",
		}, []string{"reason"}),
	}
	to.MustRegister(m.images, m.kept)
	return m
}

func (m *Metrics) rewrote(images int) { m.images.Add(float64(images)) }

func (m *Metrics) left(why reason) { m.kept.WithLabelValues(string(why)).Inc() }
