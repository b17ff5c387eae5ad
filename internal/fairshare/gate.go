package fairshare

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/upstream"
)

// Gate shares out the pulls of one upstream by one plan.
type Gate struct {
	shares   *Shares
	upstream string
	plan     Plan
	projects []string // that the plan names
}

// With puts a plan over the pulls of an upstream. What was counted under another plan
// counts under this one too.
func (s *Shares) With(upstream string, plan Plan) *Gate {
	if !plan.Empty() {
		s.wanted.Store(true)
	}
	return &Gate{shares: s, upstream: upstream, plan: plan, projects: plan.Projects()}
}

// turn is one question to an account.
type turn struct {
	gate    *Gate
	account *account
	began   int64 // how many pulls had been completed
	counted bool
	at      time.Time
	// taken is what the pull is counted under, and by which limits.
	taken map[subject]ratelimit.Limit
}

// Watch implements upstream.Gate.
func (g *Gate) Watch(credential string) upstream.Turn {
	g.shares.mu.Lock()
	defer g.shares.mu.Unlock()
	a := g.account(credential)
	return &turn{gate: g, account: a, began: a.completed}
}

// Enter implements upstream.Gate. A pull counts for the payer's project if that has a
// budget, and out of what is open to all or, once that is used up, out of a reserve of the
// payer's.
func (g *Gate) Enter(credential string, payer oci.Caller, sure, draw bool) (upstream.Turn, error) {
	g.shares.mu.Lock()
	defer g.shares.mu.Unlock()
	a, now := g.account(credential), g.shares.Now()
	taken := map[subject]ratelimit.Limit{}
	if failure := g.takeBudget(taken, payer, now); failure != nil {
		g.shares.Metrics.refused(g.upstream, "budget")
		return nil, failure
	}
	if len(g.plan.Reserves) > 0 || payer.Spares > 0 {
		unspent, all := g.unspent(a, credential, now)
		left := a.left - all - share(int64(a.limit.Most), payer.Spares)
		if !sure && !a.sure(now, left, g.shares.Shared) {
			return nil, upstream.ErrUnsure
		}
		from, limit := g.choose(a, credential, payer, unspent, left, draw)
		if from == nil {
			if payer.Spares == 0 {
				g.shares.Metrics.refused(g.upstream, "reserve")
			}
			return nil, g.reserved(a, credential, payer, unspent, left, now)
		}
		taken[*from] = limit
	}
	a.pending++
	a.left--
	for s, limit := range taken {
		g.shares.add(s, limit, now)
	}
	return &turn{gate: g, account: a, began: a.completed, counted: true, at: now, taken: taken}, nil
}

// Ended implements upstream.Turn.
func (t *turn) Ended(came upstream.Outcome, said *upstream.Rate) {
	s := t.gate.shares
	s.mu.Lock()
	defer s.mu.Unlock()
	a := t.account
	overlapping := a.pending + a.completed - t.began
	if t.counted {
		a.pending--
		a.completed++
		overlapping--
		if came == upstream.Refused || came == upstream.Given && said == nil {
			a.left++
			for of, limit := range t.taken {
				s.remove(of, limit, t.at)
			}
		}
	}
	if said != nil {
		a.note(*said, overlapping, s.Now())
	}
}

// account is what is known of a credential; the lock is held.
func (g *Gate) account(credential string) *account {
	key := [2]string{g.upstream, credential}
	a, known := g.shares.accounts[key]
	if !known {
		a = &account{}
		g.shares.accounts[key] = a
	}
	return a
}

// takeBudget finds the budget that a pull counts for: that of the service account's project,
// else the first of the payer's that has some left.
func (g *Gate) takeBudget(taken map[subject]ratelimit.Limit, payer oci.Caller, now time.Time) error {
	var failure *upstream.Error
	for _, b := range g.plan.Budgets {
		if !slices.Contains(payer.Shares, b.Project) {
			continue
		}
		s := subject{upstream: g.upstream, kind: spent, project: b.Project}
		c := g.shares.count(s)
		if c.total(b.Limit, now) < int64(b.Limit.Most) {
			taken[s] = b.Limit
			return nil
		}
		wait, _ := c.free(b.Limit, c.total(b.Limit, now)-int64(b.Limit.Most)+1, now)
		if failure == nil || wait < failure.RetryAfter {
			failure = g.overBudget(b, payer, wait)
		}
	}
	if failure == nil {
		return nil
	}
	return failure
}

func (g *Gate) overBudget(b Budget, payer oci.Caller, wait time.Duration) *upstream.Error {
	return &upstream.Error{
		Kind: upstream.OverBudget, RetryAfter: wait, Upstream: g.upstream,
		Message: fmt.Sprintf("the budget of project %s, %s, is used up; try again in %s", b.Project, b.Limit, roundUp(wait)),
		Held:    &upstream.Held{Project: b.Project, Limit: int64(b.Limit.Most), Window: b.Limit.Window, Payer: payer},
	}
}

// unspent is what is set aside of an account for each project still, and for all of them.
func (g *Gate) unspent(a *account, credential string, now time.Time) (each map[string]int64, all int64) {
	each = map[string]int64{}
	for _, r := range g.plan.Reserves {
		left := r.of(int64(a.limit.Most)) - g.shares.count(g.drawn(a, credential, r.Project)).total(a.limit, now)
		each[r.Project] = max(0, left)
		all += each[r.Project]
	}
	return each, all
}

func (g *Gate) drawn(a *account, credential, project string) subject {
	return subject{upstream: g.upstream, kind: drawn, credential: credential, source: a.source, project: project}
}

func (g *Gate) open(a *account, credential string) subject {
	return subject{upstream: g.upstream, kind: open, credential: credential, source: a.source}
}

// choose says what a pull is taken out of; nil when there is nothing for the payer. An
// account that the upstream does not meter has no reserves. Where no reserve is left to
// protect, and nobody draws on one this moment, the upstream itself decides.
func (g *Gate) choose(a *account, credential string, payer oci.Caller, unspent map[string]int64, left int64, draw bool) (*subject, ratelimit.Limit) {
	from := g.open(a, credential)
	if !a.said || left >= 1 {
		return &from, a.limit
	}
	protects := a.pending > 0 || payer.Spares > 0
	for _, r := range g.plan.Reserves {
		if draw && unspent[r.Project] > 0 && slices.Contains(payer.Shares, r.Project) {
			from = g.drawn(a, credential, r.Project)
			return &from, a.limit
		}
		protects = protects || unspent[r.Project] > 0
	}
	if protects {
		return nil, ratelimit.Limit{}
	}
	return &from, a.limit
}

// reserved is the failure of a pull for which nothing is open.
func (g *Gate) reserved(a *account, credential string, payer oci.Caller, unspent map[string]int64, left int64, now time.Time) error {
	held := &upstream.Held{Limit: int64(a.limit.Most), Left: a.left, Window: a.limit.Window, Payer: payer}
	for _, r := range g.plan.Reserves {
		if unspent[r.Project] > 0 {
			held.Reserves = append(held.Reserves, r.Project)
		}
	}
	if len(held.Reserves) == 0 { // they are being drawn on
		held.Reserves = g.reserving()
	}
	wait, known := g.shares.count(g.open(a, credential)).free(a.limit, 1-left, now)
	if !known { // others spent it; they are taken to have done so evenly
		each := a.limit.Window / time.Duration(a.limit.Most)
		wait = min(max(time.Duration(min(1-left, int64(a.limit.Most)))*each, time.Minute), a.limit.Window)
	}
	whose := "set aside for " + strings.Join(held.Reserves, ", ")
	if len(held.Reserves) == 0 {
		whose = fmt.Sprintf("no more than the %d%% that are left to others", payer.Spares)
	}
	return &upstream.Error{
		Kind: upstream.Reserved, RetryAfter: wait, Upstream: g.upstream, Credential: credential,
		Message: fmt.Sprintf("what %s has left, %d of %d pulls, is %s; try again in %s", credential, a.left, a.limit.Most, whose, roundUp(wait)),
		Held:    held,
	}
}

func (g *Gate) reserving() (projects []string) {
	for _, r := range g.plan.Reserves {
		projects = append(projects, r.Project)
	}
	return projects
}

// roundUp is a wait in whole seconds, so that nobody comes a moment early.
func roundUp(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
