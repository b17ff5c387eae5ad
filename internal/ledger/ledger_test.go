package ledger_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/testkit"
	"github.com/larder-registry/larder/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// desk is a ledger on a database of its own, at noon.
type desk struct {
	*ledger.Ledger
	t       *testing.T
	clock   *testkit.Clock
	store   *metadata.Ledger
	log     *testkit.Buffer
	metrics *prometheus.Registry
}

func newDesk(t *testing.T, changes ...func(*ledger.Config)) *desk {
	t.Helper()
	db, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	d := &desk{t: t, clock: testkit.NewClock(noon), store: db.Ledger, log: &testkit.Buffer{}, metrics: prometheus.NewRegistry()}
	c := ledger.Config{
		Store: db.Ledger, Metrics: ledger.NewMetrics(d.metrics), Now: d.clock.Now,
		Log: slog.New(slog.NewTextHandler(d.log, nil)),
	}
	for _, change := range changes {
		change(&c)
	}
	d.Ledger = ledger.New(c)
	t.Cleanup(d.Close)
	return d
}

// books books calls and writes them.
func (d *desk) books(calls ...upstream.Call) {
	d.t.Helper()
	for _, c := range calls {
		d.Book(c)
	}
	if err := d.Flush(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) calls() []metadata.LedgerCall {
	d.t.Helper()
	all, err := d.store.Calls(d.t.Context(), metadata.LedgerQuery{Upstream: "docker-hub", Limit: 1_000_000})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// pulls is a pull of nginx's image that alice pays for, by which the upstream has said how
// many are left of 100 in six hours.
func (d *desk) pulls(left int64) upstream.Call {
	return upstream.Call{
		At: d.clock.Now(), Upstream: "docker-hub", Credential: "acme", Kind: upstream.CallManifest,
		Repository: "library/nginx", Reference: "latest", Status: 200, Bytes: 500, For: oci.Caller{User: "alice"},
		Rate: &upstream.Rate{Limit: 100, Remaining: left, Window: 6 * time.Hour, Source: "acme-id"},
	}
}

func TestACallIsBookedToWhoPaysForIt(t *testing.T) {
	tests := []struct {
		name    string
		payer   oci.Caller
		user    string
		project string
		client  string
		certain bool
	}{
		{"a user, to the cache project", oci.Caller{User: "alice", Client: netip.MustParsePrefix("192.0.2.7/32")}, "alice", "docker-hub", "192.0.2.7", true},
		{"a service account, to its own project", oci.Caller{User: "system:serviceaccount:demo:ci", Project: "demo"}, "system:serviceaccount:demo:ci", "demo", "", true},
		{"a stranger, as far as can be inferred", oci.Caller{Client: netip.MustParsePrefix("2001:db8::/64")}, "", "docker-hub", "2001:db8::/64", false},
		{"the registry itself", oci.Caller{User: oci.UserSelf, Project: "demo"}, "system:larder", "demo", "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			call := d.pulls(76)
			call.For = test.payer
			d.books(call)
			want := metadata.LedgerCall{
				At: noon, Upstream: "docker-hub", Credential: "acme", Kind: "manifest_get", Repository: "library/nginx", Reference: "latest",
				Status: 200, Bytes: 500, Counted: true, Image: true,
				Rate: &metadata.LedgerRate{Limit: 100, Remaining: 76, Window: 6 * time.Hour, Source: "acme-id"},
				User: test.user, Project: test.project, Client: test.client, Certain: test.certain,
			}
			if diff := cmp.Diff([]metadata.LedgerCall{want}, d.calls(), cmpopts.IgnoreFields(metadata.LedgerCall{}, "ID")); diff != "" {
				t.Errorf("booked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheClusterThatAnImageIsForIsBooked(t *testing.T) {
	d := newDesk(t)
	call := d.pulls(76)
	call.For.Namespace, call.For.Workload = "shop", "deployment/web"
	d.books(call)
	if got := d.calls()[0]; got.Namespace != "shop" || got.Workload != "deployment/web" {
		t.Errorf("booked to %q in %q", got.Workload, got.Namespace)
	}
}

func TestWhatIsBookedAfterTheEndIsWrittenAtTheClose(t *testing.T) {
	d := newDesk(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	d.Run(ctx)
	d.Book(d.pulls(76))
	d.Close()
	if got := len(d.calls()); got != 1 {
		t.Errorf("%d calls were written", got)
	}
}

func TestMoreThanCanWaitIsDroppedAndCounted(t *testing.T) {
	d := newDesk(t)
	for range 50_003 {
		d.Book(d.pulls(76))
	}
	if got, err := testutil.GatherAndCount(d.metrics, "larder_ledger_dropped_total"); err != nil || got != 1 {
		t.Fatalf("%d metrics, %v", got, err)
	}
	if got := value(t, d.metrics, "larder_ledger_dropped_total"); got != 3 {
		t.Errorf("%v are counted as dropped", got)
	}
}

func TestCallsAreKeptForAsLongAsConfiguredAndTheirSumsForLonger(t *testing.T) {
	d := newDesk(t, func(c *ledger.Config) { c.Keep = 48 * time.Hour })
	users := func() (single, hours int) {
		t.Helper()
		sums, err := d.store.HourSums(t.Context(), "docker-hub", metadata.LedgerUser, noon, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(d.calls()), len(sums)
	}
	for i := range 3 { // at noon, and 24 and 48 hours later
		call := d.pulls(76)
		call.For.User = fmt.Sprint(i)
		d.books(call)
		d.clock.Pass(24 * time.Hour)
	}
	for _, step := range []struct {
		after         time.Duration
		single, hours int
	}{
		{-time.Hour, 2, 3},
		{24 * time.Hour, 1, 3},
		{24 * time.Hour, 0, 3},
		{396 * 24 * time.Hour, 0, 2},
		{24 * time.Hour, 0, 1},
		{24 * time.Hour, 0, 0},
	} {
		d.clock.Pass(step.after)
		if err := d.Shorten(t.Context()); err != nil {
			t.Fatal(err)
		}
		if single, hours := users(); single != step.single || hours != step.hours {
			t.Errorf("%s after the first: %d calls and sums of %d users, want %d and %d", d.clock.Now().Sub(noon), single, hours, step.single, step.hours)
		}
	}
}

// value is the only value of a metric.
func value(t *testing.T, from prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no single %s", name)
	return 0
}

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
