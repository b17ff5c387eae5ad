package rewriting

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxReviewed is how many namespaces are told apart, maxMeasured how many of them are
	// measured apart. What comes later counts together.
	maxReviewed = 10_000
	maxMeasured = 200
	// otherNamespaces is how metrics call those together.
	otherNamespaces = "other"
)

// OutcomeRewritten is of pods of which an image was rewritten; the other outcomes are reasons.
const OutcomeRewritten = "rewritten"

// Reviewed is what became of the new pods of a namespace.
type Reviewed struct {
	// Outcomes count pods: those that were rewritten, and the others by their reasons.
	Outcomes map[string]int64
	// At is when the last one was made.
	At time.Time
}

// Reviews count what became of new pods, by namespace, since this process began. They are
// safe for concurrent use, and a prometheus.Collector.
type Reviews struct {
	now      func() time.Time
	measured *prometheus.Desc

	mu    sync.Mutex
	by    map[string]*Reviewed
	names []string // that are measured apart
	other Reviewed
}

// NewReviews registers their metric. A now of nil means time.Now.
func NewReviews(to prometheus.Registerer, now func() time.Time) *Reviews {
	if now == nil {
		now = time.Now
	}
	r := &Reviews{now: now, by: map[string]*Reviewed{}, measured: prometheus.NewDesc("larder_admission_pods_total",
		"New pods that were reviewed, by namespace (other: all but the first 200) and outcome: rewritten, or why not.", []string{"namespace", "outcome"}, nil)}
	to.MustRegister(r)
	return r
}

// Note counts a new pod.
func (r *Reviews) Note(namespace, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.by[namespace]
	switch {
	case of != nil:
	case len(r.by) >= maxReviewed:
		of = &r.other
	default:
		of = &Reviewed{}
		r.by[namespace] = of
		if len(r.names) < maxMeasured {
			r.names = append(r.names, namespace)
		}
	}
	if of.Outcomes == nil {
		of.Outcomes = map[string]int64{}
	}
	of.Outcomes[outcome]++
	of.At = r.now()
}

// All are what was counted, by namespace. Other is of those that were too many.
func (r *Reviews) All() (by map[string]Reviewed, other Reviewed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	by = make(map[string]Reviewed, len(r.by))
	for name, of := range r.by {
		by[name] = of.clone()
	}
	return by, r.other.clone()
}

func (r *Reviewed) clone() Reviewed { return Reviewed{maps.Clone(r.Outcomes), r.At} }

// Describe implements prometheus.Collector.
func (r *Reviews) Describe(to chan<- *prometheus.Desc) { to <- r.measured }

// Collect implements prometheus.Collector.
func (r *Reviews) Collect(to chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := map[[2]string]float64{}
	count := func(namespace string, of Reviewed) {
		for outcome, pods := range of.Outcomes {
			sums[[2]string{namespace, outcome}] += float64(pods)
		}
	}
	apart := map[string]bool{}
	for _, name := range r.names {
		apart[name] = true
	}
	for name, of := range r.by {
		if !apart[name] {
			name = otherNamespaces
		}
		count(name, *of)
	}
	count(otherNamespaces, r.other)
	for labels, sum := range sums {
		to <- prometheus.MustNewConstMetric(r.measured, prometheus.CounterValue, sum, labels[0], labels[1])
	}
}
