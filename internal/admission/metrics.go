package admission

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/larder-registry/larder/internal/rewriting"
)

// Metrics count reviews.
type Metrics struct {
	images  prometheus.Counter
	kept    *prometheus.CounterVec
	reviews *rewriting.Reviews
}

// NewMetrics registers them. A now of nil means time.Now.
func NewMetrics(to prometheus.Registerer, now func() time.Time) *Metrics {
	m := &Metrics{
		images: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "larder_admission_images_rewritten_total", Help: "Images of pods that were rewritten.",
		}),
		kept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_admission_pods_left_total", Help: "Reviews of pods that kept their images, by reason.",
		}, []string{"reason"}),
		reviews: rewriting.NewReviews(to, now),
	}
	to.MustRegister(m.images, m.kept)
	return m
}

// Reviews are what became of new pods, by namespace.
func (m *Metrics) Reviews() *rewriting.Reviews { return m.reviews }

func (m *Metrics) rewrote(request *admissionv1.AdmissionRequest, images int) {
	m.images.Add(float64(images))
	m.note(request, rewriting.OutcomeRewritten)
}

func (m *Metrics) left(request *admissionv1.AdmissionRequest, why reason) {
	m.kept.WithLabelValues(string(why)).Inc()
	m.note(request, string(why))
}

// note counts the pods that are made, each once. A dry run makes none.
func (m *Metrics) note(request *admissionv1.AdmissionRequest, outcome string) {
	dry := request.DryRun != nil && *request.DryRun
	if request.Operation == admissionv1.Create && request.SubResource == "" && !dry && outcome != string(again) {
		m.reviews.Note(request.Namespace, outcome)
	}
}
