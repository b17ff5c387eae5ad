package server

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// newLedger makes the ledger of all upstreams.
func (f *floor) newLedger(config Config, options Options, to prometheus.Registerer) *ledger.Ledger {
	var tell func(context.Context, string) error
	if f.DB.Shared() {
		tell = f.DB.Hints.Tell
	}
	return ledger.New(ledger.Config{
		Store: f.DB.Ledger, Keep: config.Ledger.Keep, Metrics: ledger.NewMetrics(to), Now: options.Tuning.Now, Log: f.log,
		Every:     options.Tuning.Watch,
		Upstreams: func() []ledger.Upstream { return f.budgets() },
		Warn:      f.recordWarning,
		Tell:      tell,
	})
}

// recordWarning puts into the audit log that an upstream's pull limit runs low.
func (f *floor) recordWarning(ctx context.Context, w ledger.Warning) {
	f.events.Record(ctx, events.Event{
		Actor: oci.UserSelf, Action: "warn-budget", Object: "upstreams/" + w.Upstream, Result: events.Done, Detail: w.String(),
	})
}

// budgets tells how the configured upstreams and their credentials stand.
func (s *Server) budgets() []ledger.Upstream {
	g := s.generation()
	defer g.requests.Done()
	all := make([]ledger.Upstream, 0, len(g.upstreams))
	for _, u := range g.upstreams {
		told := ledger.Upstream{Name: u.Name, URL: u.URL.String(), WarnAt: u.WarnAt, Credentials: u.remote.Budget()}
		if u.gate != nil {
			told.Reserves, told.Budgets = u.reserves, u.budgets()
		}
		all = append(all, told)
	}
	return all
}

// reserves tells what is set aside of an account.
func (u openUpstream) reserves(a ledger.Account) (all []ledger.Reserve) {
	limit := ratelimit.Limit{Most: int(a.Limit), Window: a.Window}
	for _, r := range u.gate.Reserves(a.Credential, a.Source, limit) {
		all = append(all, ledger.Reserve(r))
	}
	return all
}

func (u openUpstream) budgets() (all []ledger.Budget) {
	for _, b := range u.gate.Budgets() {
		all = append(all, ledger.Budget{Project: b.Project, Limit: b.Limit, Spent: b.Spent})
	}
	return all
}
