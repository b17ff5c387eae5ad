package rewriting

import (
	"cmp"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Gauges measure how the pods of a cluster get their images, as it was looked last. They are
// safe for concurrent use.
type Gauges struct {
	measured *prometheus.Desc
	mu       sync.Mutex
	pods     map[[2]string]float64 // by namespace and where from
}

// NewGauges registers them.
func NewGauges(to prometheus.Registerer) *Gauges {
	g := &Gauges{measured: prometheus.NewDesc("larder_cluster_pods",
		"Pods by namespace (other: all but the 200 with the most) and where their images come from; a pod may count more than once.", []string{"namespace", "images"}, nil)}
	to.MustRegister(g)
	return g
}

// Set has them tell of the pods now.
func (g *Gauges) Set(pods []Pod) {
	all := Namespaces(pods)
	slices.SortStableFunc(all, func(a, b Namespace) int { return cmp.Compare(b.Pods, a.Pods) })
	sums := map[[2]string]float64{}
	for i, n := range all {
		name := n.Name
		if i >= maxMeasured {
			name = otherNamespaces
		}
		out := 0
		for _, count := range n.OptedOut {
			out += count
		}
		for images, count := range map[string]int{
			"rewritten": n.Rewritten, "hosted": n.Hosted, "opted_out": out, "by_node": n.ByNode, "mirrored": n.Mirrored, "elsewhere": n.Elsewhere,
		} {
			if count > 0 {
				sums[[2]string{name, images}] += float64(count)
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pods = sums
}

// Describe implements prometheus.Collector.
func (g *Gauges) Describe(to chan<- *prometheus.Desc) { to <- g.measured }

// Collect implements prometheus.Collector.
func (g *Gauges) Collect(to chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for labels, count := range g.pods {
		to <- prometheus.MustNewConstMetric(g.measured, prometheus.GaugeValue, count, labels[0], labels[1])
	}
}
