package fairshare

import (
	"github.com/larder-registry/larder/internal/ratelimit"
)

// Projects are those whose members have to be known, in order. Nobody may change them.
func (g *Gate) Projects() []string { return g.projects }

// ReserveStanding is what an account has set aside for a project.
type ReserveStanding struct {
	Project  string
	Reserved int64 // in any window
	Spent    int64 // of it, in the window now
}

// Reserves tells what is set aside of an account that the upstream charges under a source,
// by a limit, in the order of the plan.
func (g *Gate) Reserves(credential, source string, limit ratelimit.Limit) []ReserveStanding {
	g.shares.mu.Lock()
	defer g.shares.mu.Unlock()
	now := g.shares.Now()
	var all []ReserveStanding
	for _, r := range g.plan.Reserves {
		of := subject{upstream: g.upstream, kind: drawn, credential: credential, source: source, project: r.Project}
		is := ReserveStanding{Project: r.Project, Reserved: r.of(int64(limit.Most))}
		if c, known := g.shares.counts[of]; known {
			is.Spent = c.total(limit, now)
		}
		all = append(all, is)
	}
	return all
}

// BudgetStanding is what a project has spent of its budget.
type BudgetStanding struct {
	Budget
	Spent int64 // in the window now
}

// Budgets tells of the budgets in the order of the plan.
func (g *Gate) Budgets() []BudgetStanding {
	g.shares.mu.Lock()
	defer g.shares.mu.Unlock()
	now := g.shares.Now()
	var all []BudgetStanding
	for _, b := range g.plan.Budgets {
		is := BudgetStanding{Budget: b}
		if c, known := g.shares.counts[subject{upstream: g.upstream, kind: spent, project: b.Project}]; known {
			is.Spent = c.total(b.Limit, now)
		}
		all = append(all, is)
	}
	return all
}
