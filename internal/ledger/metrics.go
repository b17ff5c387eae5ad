package ledger

import (
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are those of one ledger. What accounts have left is measured every few seconds,
// and accounts that are gone are not measured any more.
type Metrics struct {
	dropped  prometheus.Counter
	warnings *prometheus.CounterVec
	hints    *prometheus.CounterVec

	left, share, burn, empty, elsewhere *prometheus.Desc
	reserved, drawn, limited, spent     *prometheus.Desc

	mu        sync.Mutex
	upstreams []Status
	at        time.Time // when they stood so
}

// What becomes of a hint.
const (
	hintTold    = "told"
	hintHeard   = "heard"
	hintDropped = "dropped"
)

// NewMetrics makes the metrics and registers them.
func NewMetrics(to prometheus.Registerer) *Metrics {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("larder_upstream_"+name, help, []string{"upstream", "credential", "source"}, nil)
	}
	shared := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("larder_upstream_"+name, help, append([]string{"upstream", "project"}, labels...), nil)
	}
	m := &Metrics{
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "larder_ledger_dropped_total", Help: "Calls that were not booked because too many waited to be written.",
		}),
		warnings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_upstream_budget_warnings_total", Help: "How often what is left of an upstream's pull limit fell to a level, in percent.",
		}, []string{"upstream", "credential", "level"}),
		hints: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "larder_ledger_hints_total", Help: "Pulls that the webhooks of replicas told each other to expect.",
		}, []string{"outcome"}),
		left:      describe("pulls_left", "Pulls left now, by the ledger and by what the upstream said last; may be negative."),
		share:     describe("pulls_left_ratio", "Share of the limit that is left now, between 0 and 1."),
		burn:      describe("pulls_burn_per_hour", "Pulls that are spent in an hour, at the present rate."),
		empty:     describe("pulls_empty_seconds", "Seconds until no pulls are left, at the present rate; +Inf when it does not come to that."),
		reserved:  shared("pulls_reserved", "Pulls of an account in any window that are set aside for the members of a project.", "credential", "source"),
		drawn:     shared("pulls_reserved_spent", "Those of the pulls that are set aside which were spent in the window.", "credential", "source"),
		limited:   shared("project_budget", "Pulls that may be made for the members of a project in the window of its budget."),
		spent:     shared("project_budget_spent", "Those of a project's budget that were spent in its window."),
		elsewhere: describe("pulls_elsewhere", "Pulls in the limit's window that others have spent with the same account."),
	}
	to.MustRegister(m.dropped, m.warnings, m.hints, m)
	return m
}

func (m *Metrics) set(upstreams []Status, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.upstreams, m.at = upstreams, at
}

func (m *Metrics) warned(w Warning) {
	m.warnings.WithLabelValues(w.Upstream, w.Credential, strconv.Itoa(w.Level)).Inc()
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.left, m.share, m.burn, m.empty, m.elsewhere, m.reserved, m.drawn, m.limited, m.spent} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.upstreams {
		for _, a := range u.Accounts {
			if a.Metered {
				m.collect(to, a)
			}
		}
		for _, b := range u.Budgets {
			to <- gauge(m.limited, float64(b.Limit.Most), u.Name, b.Project)
			to <- gauge(m.spent, float64(b.Spent), u.Name, b.Project)
		}
	}
}

// collect tells of one account that has a limit.
func (m *Metrics) collect(to chan<- prometheus.Metric, a Account) {
	empty := math.Inf(1)
	if !a.EmptyAt.IsZero() {
		empty = a.EmptyAt.Sub(m.at).Seconds()
	}
	for d, value := range map[*prometheus.Desc]float64{
		m.left: float64(a.Left), m.share: a.Share(), m.burn: a.Burn, m.empty: empty, m.elsewhere: float64(a.Elsewhere),
	} {
		to <- gauge(d, value, a.Upstream, a.Credential, a.Source)
	}
	for _, r := range a.Reserves {
		to <- gauge(m.reserved, float64(r.Reserved), a.Upstream, r.Project, a.Credential, a.Source)
		to <- gauge(m.drawn, float64(r.Spent), a.Upstream, r.Project, a.Credential, a.Source)
	}
}

func gauge(of *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
}
