package ledger_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/upstream"
)

// watcher is a ledger that is looked at, and what it warned of.
type watcher struct {
	*desk
	mu   sync.Mutex
	told []string
}

func newWatcher(t *testing.T, changes ...func(*ledger.Config)) *watcher {
	t.Helper()
	w := &watcher{}
	w.desk = newDesk(t, append([]func(*ledger.Config){w.watched}, changes...)...)
	return w
}

func (w *watcher) watched(c *ledger.Config) {
	c.Upstreams = func() []ledger.Upstream { return []ledger.Upstream{hub()} }
	c.Warn = func(_ context.Context, of ledger.Warning) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, of.String())
	}
}

// look lets the ledger look once, after the upstream has said what is left.
func (w *watcher) look(left int64) {
	w.t.Helper()
	w.books(check(says(100, left, 6*time.Hour)(w.pulls(0))))
	if err := w.Look(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// hasTold fails unless these were the warnings since the last call.
func (w *watcher) hasTold(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.told); diff != "" {
		w.t.Errorf("warnings (-want +got):\n%s", diff)
	}
	w.told = nil
}

func TestALevelIsWarnedOfOnceWhenItIsReached(t *testing.T) {
	w := newWatcher(t)
	w.look(51)
	w.hasTold()
	w.look(50)
	w.hasTold("50 of 100 pulls are left to acme at upstream docker-hub, 50% or less")
	w.look(45)
	w.hasTold()
	w.look(3) // past two levels at once
	w.hasTold("3 of 100 pulls are left to acme at upstream docker-hub, 5% or less")
	w.look(-2)
	w.hasTold()
	if got := strings.Count(w.log.String(), "running low"); got != 2 {
		t.Errorf("the log heard %d warnings:\n%s", got, w.log)
	}
	if got, err := testutil.GatherAndCount(w.metrics, "larder_upstream_budget_warnings_total"); err != nil || got != 2 {
		t.Errorf("warnings of %d levels are counted, %v", got, err)
	}
}

func TestALevelIsWarnedOfAgainOnceTheAccountHasRisenWellAboveIt(t *testing.T) {
	w := newWatcher(t)
	w.look(20)
	w.hasTold("20 of 100 pulls are left to acme at upstream docker-hub, 20% or less")
	for _, left := range []int64{21, 20, 24, 19, 25, 20} { // to and fro
		w.look(left)
	}
	w.hasTold()
	w.look(26)
	w.look(20)
	w.hasTold("20 of 100 pulls are left to acme at upstream docker-hub, 20% or less")
	w.look(80)
	w.look(50)
	w.hasTold("50 of 100 pulls are left to acme at upstream docker-hub, 50% or less")
}

func TestAWarningIsNotRepeatedByAnotherProcess(t *testing.T) {
	w := newWatcher(t)
	w.look(20)
	w.hasTold("20 of 100 pulls are left to acme at upstream docker-hub, 20% or less")
	c := ledger.Config{Store: w.store, Metrics: ledger.NewMetrics(newRegistry()), Now: w.clock.Now, Log: quiet()}
	w.watched(&c)
	other := ledger.New(c)
	t.Cleanup(other.Close)
	if err := other.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.hasTold()
}

func TestAWarningTellsWhenNothingIsLeft(t *testing.T) {
	w := newWatcher(t)
	for left := range int64(50) {
		w.books(w.pulls(99 - left))
		w.clock.Pass(2 * time.Minute)
	}
	if err := w.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.hasTold("50 of 100 pulls are left to acme at upstream docker-hub, 50% or less; at the present rate none is left at 15:23 UTC")
}

func TestNoLevelsMeanNoWarnings(t *testing.T) {
	w := newWatcher(t, func(c *ledger.Config) {
		c.Upstreams = func() []ledger.Upstream {
			return []ledger.Upstream{{Name: "docker-hub", Credentials: []upstream.Budget{{Credential: "acme"}}}}
		}
	})
	w.look(0)
	w.hasTold()
}

func TestHowAccountsStandIsMeasured(t *testing.T) {
	w := newWatcher(t)
	for left := range int64(30) {
		w.books(w.pulls(69 - left)) // thirty were spent elsewhere
		w.clock.Pass(2 * time.Minute)
	}
	if err := w.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"larder_upstream_pulls_left": 40, "larder_upstream_pulls_left_ratio": 0.4, "larder_upstream_pulls_elsewhere": 30,
		"larder_upstream_pulls_burn_per_hour": 30,
	} {
		if got := value(t, w.metrics, name); got < want*0.9 || got > want*1.1 {
			t.Errorf("%s is %v, want about %v", name, got, want)
		}
	}
	if got := value(t, w.metrics, "larder_upstream_pulls_empty_seconds"); got < 4000 || got > 7000 {
		t.Errorf("it is empty in %v seconds", got)
	}
}
