package fairshare

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/upstream"
)

// rows is a Store in memory.
type rows struct {
	all   []metadata.LimitCounter
	clock time.Time
}

func (r *rows) Put(_ context.Context, counters []metadata.LimitCounter) error {
	r.clock = r.clock.Add(time.Millisecond)
	for _, c := range counters {
		c.ChangedAt = r.clock
		r.all = slices.DeleteFunc(r.all, func(o metadata.LimitCounter) bool { return o.Subject == c.Subject && o.Holder == c.Holder })
		r.all = append(r.all, c)
	}
	slices.SortFunc(r.all, func(a, b metadata.LimitCounter) int { return strings.Compare(a.Subject+a.Holder, b.Subject+b.Holder) })
	return nil
}

func (r *rows) List(_ context.Context, q metadata.LimitCounterQuery) (page []metadata.LimitCounter, err error) {
	for _, c := range r.all {
		after := c.Subject > q.AfterSubject || c.Subject == q.AfterSubject && c.Holder > q.AfterHolder
		if c.Holder != q.NotOf && after && !c.ChangedAt.Before(q.Changed) && len(page) < q.Limit {
			page = append(page, c)
		}
	}
	return page, nil
}

// world is a registry's shares, at a time that the test sets.
type world struct {
	t     *testing.T
	now   time.Time
	store *rows
	*Shares
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC), store: &rows{}}
	w.Shares = w.open()
	return w
}

// open is what another process, or the next one, would have.
func (w *world) open() *Shares {
	w.t.Helper()
	s, err := Open(w.t.Context(), Config{
		Store: w.store, Shared: true, Metrics: NewMetrics(prometheus.NewRegistry()),
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

const window = 6 * time.Hour

func says(remaining int64) *upstream.Rate {
	return &upstream.Rate{Limit: 10, Remaining: remaining, Window: window, Source: "192.0.2.1"}
}

func member(project string) oci.Caller { return oci.Caller{User: "u", Shares: []string{project}} }

// pull takes a pull and ends it as the upstream would, which then has so many left.
func pull(t *testing.T, g *Gate, payer oci.Caller, remaining int64) {
	t.Helper()
	turn, err := g.Enter("acme", payer, true, true)
	if err != nil {
		t.Fatal(err)
	}
	turn.Ended(upstream.Given, says(remaining))
}

func thirty() Plan { return Plan{Reserves: []Reserve{{"prod", 30}}} }

func TestWhatIsNotKnownIsAskedFor(t *testing.T) {
	w := newWorld(t)
	w.Shared = false
	g := w.With("hub", thirty())
	unsure := func(when string, want bool) {
		t.Helper()
		turn, err := g.Enter("acme", oci.Caller{}, false, false)
		if errors.Is(err, upstream.ErrUnsure) != want {
			t.Errorf("%s: %v", when, err)
		}
		if turn != nil {
			turn.Ended(upstream.Refused, nil)
		}
	}
	unsure("at first", true)
	g.Watch("acme").Ended(upstream.Given, says(10))
	w.now = w.now.Add(59 * time.Second)
	unsure("with plenty left, within a minute", false)
	w.now = w.now.Add(time.Second)
	unsure("after a minute", true)
	g.Watch("acme").Ended(upstream.Given, says(5))
	w.now = w.now.Add(999 * time.Millisecond)
	unsure("with little left, at once", false)
	w.now = w.now.Add(time.Millisecond)
	unsure("with little left, a second later", true)
	w.Shared = true
	g.Watch("acme").Ended(upstream.Given, says(10))
	w.now = w.now.Add(time.Second)
	unsure("with plenty left, but with others that spend it", true)
	if _, err := w.With("hub", Plan{Budgets: []Budget{{"demo", ratelimit.Limit{Most: 1, Window: window}}}}).Enter("bob", member("demo"), false, false); err != nil {
		t.Errorf("for a budget nothing has to be known: %v", err)
	}
}

func TestWhatIsLeftIsHeldAgainstWhatTheUpstreamSaysWhileOthersAreUnderWay(t *testing.T) {
	tests := map[string]struct {
		left, said, overlapping, want int64
	}{
		"nothing else is under way":           {7, 9, 0, 9},
		"others have spent some":              {7, 3, 0, 3},
		"others under way may not be counted": {7, 9, 2, 7},
		"nor may all of them":                 {7, 8, 2, 7},
		"more came free than are under way":   {5, 9, 2, 7},
		"the upstream has counted more":       {7, 5, 9, 5},
		"an old answer raises nothing":        {2, 9, 20, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := account{said: true, source: "192.0.2.1", left: test.left}
			a.note(*says(test.said), test.overlapping, time.Time{})
			if a.left != test.want {
				t.Errorf("%d are left, want %d", a.left, test.want)
			}
		})
	}
}

func TestWhatComesOfAPullDecidesWhetherItCounts(t *testing.T) {
	tests := map[string]struct {
		came  upstream.Outcome
		said  *upstream.Rate
		spent int64
	}{
		"given":                      {upstream.Given, says(9), 1},
		"given, and it is unmetered": {upstream.Given, nil, 0},
		"refused":                    {upstream.Refused, says(10), 0},
		"not answered":               {upstream.Unanswered, nil, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newWorld(t).With("hub", Plan{Budgets: []Budget{{"demo", ratelimit.Limit{Most: 5, Window: window}}}})
			turn, err := g.Enter("acme", member("demo"), true, false)
			if err != nil {
				t.Fatal(err)
			}
			turn.Ended(test.came, test.said)
			if got := g.Budgets()[0].Spent; got != test.spent {
				t.Errorf("%d are spent, want %d", got, test.spent)
			}
		})
	}
}

func TestAReserveIsDrawnOnOnlyOnceWhatIsOpenIsUsedUp(t *testing.T) {
	w := newWorld(t)
	g := w.With("hub", thirty())
	g.Watch("acme").Ended(upstream.Given, says(10))
	spent := func() int64 {
		return g.Reserves("acme", "192.0.2.1", ratelimit.Limit{Most: 10, Window: window})[0].Spent
	}
	for i := range int64(7) {
		pull(t, g, member("prod"), 9-i)
	}
	if spent() != 0 {
		t.Errorf("%d are drawn while some were open", spent())
	}
	if _, err := g.Enter("acme", member("prod"), true, false); upstream.KindOf(err) != upstream.Reserved {
		t.Errorf("without drawing: %v", err)
	}
	pull(t, g, member("prod"), 2)
	if spent() != 1 {
		t.Errorf("%d are drawn, want 1", spent())
	}
	_, err := g.Enter("acme", member("other"), true, true)
	failure, _ := errors.AsType[*upstream.Error](err)
	if failure == nil {
		t.Fatalf("a pull of another project: %v", err)
	}
	want := &upstream.Held{Reserves: []string{"prod"}, Limit: 10, Left: 2, Window: window, Payer: member("other")}
	if diff := cmp.Diff(want, failure.Held, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || failure.RetryAfter != window {
		t.Errorf("it is told to wait %s, and (-want +got):\n%s", failure.RetryAfter, diff)
	}
	w.now = w.now.Add(window)
	if spent() != 0 {
		t.Errorf("%d are drawn in the next window", spent())
	}
}

func TestReservesOfSeveralProjectsAreKeptApart(t *testing.T) {
	g := newWorld(t).With("hub", Plan{Reserves: []Reserve{{"prod", 20}, {"infra", 10}}})
	g.Watch("acme").Ended(upstream.Given, says(3))
	pull(t, g, member("prod"), 2)
	pull(t, g, member("prod"), 1)
	if _, err := g.Enter("acme", member("prod"), true, true); upstream.KindOf(err) != upstream.Reserved {
		t.Errorf("prod takes what is infra's: %v", err)
	}
	pull(t, g, member("infra"), 0)
}

func TestCountsGoOnInTheNextProcessAndReachOthers(t *testing.T) {
	w := newWorld(t)
	plan := Plan{Reserves: []Reserve{{"prod", 30}}, Budgets: []Budget{{"demo", ratelimit.Limit{Most: 2, Window: window}}}}
	one, other := w.With("hub", plan), w.open()
	one.Watch("acme").Ended(upstream.Given, says(3))
	pull(t, one, member("prod"), 2)
	one.Watch("bob").Ended(upstream.Given, says(10))
	turn, err := one.Enter("bob", member("demo"), true, false)
	if err != nil {
		t.Fatal(err)
	}
	turn.Ended(upstream.Given, says(9))
	w.store.all = append(w.store.all, metadata.LimitCounter{Subject: "account/alice", Holder: "x", ExpiresAt: w.now.Add(window)})
	w.Close()
	gate := other.With("hub", plan)
	for name, s := range map[string]*Shares{"another process": other, "the next one": w.open()} {
		if err := s.exchange(t.Context()); err != nil {
			t.Fatal(err)
		}
		g := s.With("hub", plan)
		reserve := g.Reserves("acme", "192.0.2.1", ratelimit.Limit{Most: 10, Window: window})[0]
		if reserve != (ReserveStanding{"prod", 3, 1}) || g.Budgets()[0].Spent != 1 {
			t.Errorf("%s knows of %+v and %+v", name, reserve, g.Budgets())
		}
	}
	gate.Watch("bob").Ended(upstream.Given, says(9))
	turn, err = gate.Enter("bob", member("demo"), true, false)
	if err != nil {
		t.Fatal(err)
	}
	turn.Ended(upstream.Given, says(8))
	if _, err := gate.Enter("bob", member("demo"), true, false); upstream.KindOf(err) != upstream.OverBudget {
		t.Errorf("over the budget of both processes: %v", err)
	}
}

func TestSubjectsAreReadAsTheyWereWritten(t *testing.T) {
	for _, s := range []subject{
		{"hub", open, "a/b", "fe80::1%eth0", ""},
		{"hub", drawn, "anonymous", "192.0.2.1", "prod"},
		{"hub", spent, "", "", "demo"},
	} {
		if got, ok := parseSubject(s.key()); !ok || got != s {
			t.Errorf("%+v became %q and %+v", s, s.key(), got)
		}
	}
	for _, bad := range []string{"account/x", "fairshare/hub/open/a/b", "fairshare/hub/other/a/b/c", "fairshare/%zz/open/a/b/c"} {
		if _, ok := parseSubject(bad); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestWhatIsCountedUnderIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range maxCounts + 10 {
		w.now = w.now.Add(time.Second)
		w.add(subject{upstream: "hub", kind: open, source: strings.Repeat("x", 1+i%7) + time.Duration(i).String()}, ratelimit.Limit{Most: 10, Window: window}, w.now)
	}
	if len(w.counts) != maxCounts {
		t.Errorf("%d are kept", len(w.counts))
	}
}

func TestWhoSparesAShareOfTheLimitPullsOnlyAboveIt(t *testing.T) {
	refresher := oci.Caller{User: oci.UserRefresh, Spares: 50}
	tests := map[string]struct {
		plan  Plan
		payer oci.Caller
		left  int64
		want  string // of the refusal; "" for none
	}{
		"above the share":                       {Plan{}, refresher, 6, ""},
		"at the share":                          {Plan{}, refresher, 5, "5 of 10 pulls, is no more than the 50% that are left to others"},
		"nothing is left":                       {Plan{}, refresher, 0, "0 of 10 pulls, is no more than"},
		"what is reserved comes on top":         {thirty(), refresher, 8, "set aside for prod"},
		"above what is reserved":                {thirty(), refresher, 9, ""},
		"others pull below the share":           {Plan{}, oci.Caller{}, 1, ""},
		"others, too, leave what is reserved":   {thirty(), oci.Caller{}, 3, "set aside for prod"},
		"without a plan the upstream decides":   {Plan{}, oci.Caller{}, 0, ""},
		"a reserve is for those who are meant":  {thirty(), member("prod"), 3, ""},
		"members do not mind what others spare": {thirty(), member("prod"), 5, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newWorld(t).With("hub", test.plan)
			g.Watch("acme").Ended(upstream.Given, says(test.left))
			_, err := g.Enter("acme", test.payer, true, true)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	t.Run("what has no limit is pulled", func(t *testing.T) {
		if _, err := newWorld(t).With("hub", Plan{}).Enter("acme", refresher, true, false); err != nil {
			t.Error(err)
		}
	})
}
