package metadatatest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/larder-registry/larder/internal/metadata"
)

// call is a check of nginx that a user pays for, unless it is changed.
func call(user string, changes ...func(*metadata.LedgerCall)) metadata.LedgerCall {
	c := metadata.LedgerCall{
		At: noon, Upstream: "hub", Credential: "acme", Kind: "manifest_head", Repository: "library/nginx", Reference: "latest", Status: 200,
		User: user, Project: "hub", Client: "192.0.2.7/32", Certain: user != "",
	}
	for _, change := range changes {
		change(&c)
	}
	return c
}

// pull makes a call a pull of an image by which the account has 76 of 100 left.
func pull(c *metadata.LedgerCall) {
	c.Kind, c.Counted, c.Image, c.Bytes = "manifest_get", true, true, 500
	c.Rate = &metadata.LedgerRate{Limit: 100, Remaining: 76, Window: 6 * time.Hour, Source: "192.0.2.1"}
}

func left(remaining int64) func(*metadata.LedgerCall) {
	return func(c *metadata.LedgerCall) {
		c.Rate = &metadata.LedgerRate{Limit: 100, Remaining: remaining, Window: 6 * time.Hour, Source: "192.0.2.1"}
	}
}

func after(d time.Duration) func(*metadata.LedgerCall) {
	return func(c *metadata.LedgerCall) { c.At = noon.Add(d) }
}

func of(repository string) func(*metadata.LedgerCall) {
	return func(c *metadata.LedgerCall) { c.Repository = repository }
}

func book(t *testing.T, db *metadata.DB, calls ...metadata.LedgerCall) {
	t.Helper()
	ok(t, db.Ledger.Book(t.Context(), calls))
}

func ledger(t *testing.T, open func(t *testing.T) *metadata.DB) {
	read := func(t *testing.T, db *metadata.DB, q metadata.LedgerQuery) []metadata.LedgerCall {
		t.Helper()
		return must[[]metadata.LedgerCall](t)(db.Ledger.Calls(t.Context(), q))
	}
	users := func(all []metadata.LedgerCall) []string {
		var found []string
		for _, c := range all {
			found = append(found, c.User)
		}
		return found
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a call is read as it was booked": func(t *testing.T, db *metadata.DB) {
			whole := call("system:serviceaccount:demo:ci", pull)
			whole.Project, whole.Namespace, whole.Workload = "demo", "shop", "deployment/web"
			unanswered := call("")
			unanswered.Status, unanswered.Repository, unanswered.Reference, unanswered.Client = 0, "", "", ""
			ok(t, db.Ledger.Book(t.Context(), nil))
			book(t, db, whole, unanswered)
			got := read(t, db, metadata.LedgerQuery{Upstream: "hub", Limit: many})
			unanswered.ID, whole.ID = got[0].ID, got[1].ID
			same(t, []metadata.LedgerCall{unanswered, whole}, got)
			same(t, true, unanswered.ID > whole.ID)
		},
		"calls are read in pages, the newest first": func(t *testing.T, db *metadata.DB) {
			elsewhere := call("dan")
			elsewhere.Upstream = "quay"
			book(t, db, call("alice"), call("bob", after(time.Hour)), elsewhere, call("carol", after(2*time.Hour)))
			first := read(t, db, metadata.LedgerQuery{Upstream: "hub", Limit: 2})
			same(t, []string{"carol", "bob"}, users(first))
			same(t, []string{"alice"}, users(read(t, db, metadata.LedgerQuery{Upstream: "hub", Before: first[1].ID, Limit: 2})))
			same(t, []string{"carol", "bob"}, users(read(t, db, metadata.LedgerQuery{Upstream: "hub", Since: noon.Add(time.Hour), Limit: many})))
			same(t, nil, users(read(t, db, metadata.LedgerQuery{Upstream: "ghcr", Limit: many})))
		},
		"calls are removed by their age, and their sums stay": func(t *testing.T, db *metadata.DB) {
			book(t, db, call("alice"), call("bob", after(time.Hour)), call("carol", after(2*time.Hour)))
			same(t, int64(1), must[int64](t)(db.Ledger.DeleteCalls(t.Context(), noon.Add(2*time.Hour), 1)))
			same(t, []string{"carol", "bob"}, users(read(t, db, metadata.LedgerQuery{Upstream: "hub", Limit: many})))
			same(t, int64(1), must[int64](t)(db.Ledger.DeleteCalls(t.Context(), noon.Add(2*time.Hour), many)))
			same(t, 3, len(must[[]metadata.LedgerSum](t)(db.Ledger.HourSums(t.Context(), "hub", metadata.LedgerUser, noon, many))))
		},
	})
}

func ledgerSums(t *testing.T, open func(t *testing.T) *metadata.DB) {
	refused := func(c *metadata.LedgerCall) { c.Kind, c.Status = "manifest_get", 429 }
	kind := func(kind string, bytes int64) func(*metadata.LedgerCall) {
		return func(c *metadata.LedgerCall) { c.Kind, c.Bytes = kind, bytes }
	}
	index := func(c *metadata.LedgerCall) { c.Image = false }
	unmetered := func(c *metadata.LedgerCall) { c.Rate = nil }
	calls := []metadata.LedgerCall{
		call("alice", pull), call("alice", pull, index), call("alice", kind("blob", 1000)), call("alice", kind("token", 300)), call("alice", refused),
		call("", pull, unmetered, of("library/redis")), call("", of("library/redis")),
	}
	alice := metadata.LedgerSum{Key: "alice", Calls: 5, Pulls: 2, Metered: 2, Images: 1, Refused: 1, Bytes: 2300, Blobs: 1, Tokens: 1, Certain: 2}
	strangers := metadata.LedgerSum{Calls: 2, Pulls: 1, Images: 1, Bytes: 500, Checks: 1}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"single calls and hours come to the same": func(t *testing.T, db *metadata.DB) {
			book(t, db, calls...)
			want := []metadata.LedgerSum{alice, strangers}
			same(t, want, must[[]metadata.LedgerSum](t)(db.Ledger.Sums(t.Context(), "hub", metadata.LedgerUser, noon, many)))
			same(t, want, must[[]metadata.LedgerSum](t)(db.Ledger.HourSums(t.Context(), "hub", metadata.LedgerUser, noon, many)))
			same(t, want[:1], must[[]metadata.LedgerSum](t)(db.Ledger.Sums(t.Context(), "hub", metadata.LedgerUser, noon, 1)))
			same(t, nil, must[[]metadata.LedgerSum](t)(db.Ledger.Sums(t.Context(), "quay", metadata.LedgerUser, noon, many)))
		},
		"sums are made by everything that calls have in common": func(t *testing.T, db *metadata.DB) {
			book(t, db, calls...)
			for by, want := range map[metadata.LedgerKey][]string{
				metadata.LedgerUser: {"alice", ""}, metadata.LedgerImage: {"library/nginx", "library/redis"},
				metadata.LedgerProject: {"hub"}, metadata.LedgerNamespace: {""}, metadata.LedgerClient: {"192.0.2.7/32"},
			} {
				var got []string
				for _, s := range must[[]metadata.LedgerSum](t)(db.Ledger.Sums(t.Context(), "hub", by, noon, many)) {
					got = append(got, s.Key)
				}
				same(t, want, got)
			}
		},
		"an hour that is booked again and again adds up": func(t *testing.T, db *metadata.DB) {
			for range 3 {
				book(t, db, calls[:2]...)
			}
			sums := must[[]metadata.LedgerSum](t)(db.Ledger.HourSums(t.Context(), "hub", metadata.LedgerUser, noon, many))
			same(t, []metadata.LedgerSum{{Key: "alice", Calls: 6, Pulls: 6, Metered: 6, Images: 3, Bytes: 3000, Certain: 6}}, sums)
		},
		"the hour that a time is in counts whole": func(t *testing.T, db *metadata.DB) {
			book(t, db, call("alice", after(-time.Hour)), call("bob"), call("carol", after(50*time.Minute)))
			sums := must[[]metadata.LedgerSum](t)(db.Ledger.HourSums(t.Context(), "hub", metadata.LedgerUser, noon.Add(30*time.Minute), many))
			same(t, []metadata.LedgerSum{{Key: "bob", Calls: 1, Checks: 1}, {Key: "carol", Calls: 1, Checks: 1}}, sums)
			single := must[[]metadata.LedgerSum](t)(db.Ledger.Sums(t.Context(), "hub", metadata.LedgerUser, noon.Add(30*time.Minute), many))
			same(t, sums[1:], single)
		},
		"hours are removed by their age, one after the other": func(t *testing.T, db *metadata.DB) {
			book(t, db, call("alice"), call("alice", of("library/redis")), call("bob", after(time.Hour)), call("carol", after(2*time.Hour)))
			remove := func() int64 { return must[int64](t)(db.Ledger.DeleteHour(t.Context(), noon.Add(90*time.Minute))) }
			same(t, []int64{2, 1, 0}, []int64{remove(), remove(), remove()})
			same(t, 1, len(must[[]metadata.LedgerSum](t)(db.Ledger.HourSums(t.Context(), "hub", metadata.LedgerUser, time.Time{}.Add(time.Hour), many))))
		},
		"many who book at once lose nothing": func(t *testing.T, db *metadata.DB) {
			var booking errgroup.Group
			for i := range 8 {
				booking.Go(func() error {
					some := []metadata.LedgerCall{call("alice", pull), call("bob", pull), call(fmt.Sprint(i), pull)}
					return db.Ledger.Book(t.Context(), some)
				})
			}
			ok(t, booking.Wait())
			for _, s := range must[[]metadata.LedgerSum](t)(db.Ledger.HourSums(t.Context(), "hub", metadata.LedgerUser, noon, many)) {
				want := int64(1)
				if s.Key == "alice" || s.Key == "bob" {
					want = 8
				}
				same(t, want, s.Pulls)
			}
		},
	})
}

func ledgerRates(t *testing.T, open func(t *testing.T) *metadata.DB) {
	acme := metadata.LedgerAccount{Upstream: "hub", Credential: "acme", Source: "192.0.2.1"}
	elsewhere := func(c *metadata.LedgerCall) { c.Rate.Source = "192.0.2.2" }
	observed := func(at time.Duration, remaining int64, source string) metadata.LedgerObservation {
		return metadata.LedgerObservation{
			LedgerAccount: metadata.LedgerAccount{Upstream: "hub", Credential: "acme", Source: source},
			At:            noon.Add(at), Limit: 100, Remaining: remaining, Window: 6 * time.Hour,
		}
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"what was said last, and first since a time, of each account": func(t *testing.T, db *metadata.DB) {
			book(t, db, call("", left(9)), call("", after(time.Minute)), call("", left(8), after(2*time.Minute)), call("", left(-1), elsewhere, after(3*time.Minute)))
			book(t, db, call("", left(7), after(4*time.Minute)), call("", after(5*time.Minute)))
			last := must[[]metadata.LedgerObservation](t)(db.Ledger.Observations(t.Context(), "hub", noon))
			same(t, true, last[0].ID > last[1].ID)
			same(t, []metadata.LedgerObservation{observed(4*time.Minute, 7, "192.0.2.1"), observed(3*time.Minute, -1, "192.0.2.2")}, unnumbered(last...))
			first := must[metadata.LedgerObservation](t)(db.Ledger.FirstObservation(t.Context(), acme, noon.Add(time.Second)))
			same(t, []metadata.LedgerObservation{observed(2*time.Minute, 8, "192.0.2.1")}, unnumbered(first))
			notFound(t, second(db.Ledger.FirstObservation(t.Context(), acme, noon.Add(5*time.Minute))))
			same(t, nil, must[[]metadata.LedgerObservation](t)(db.Ledger.Observations(t.Context(), "hub", noon.Add(5*time.Minute))))
		},
		"whether a credential was given anything": func(t *testing.T, db *metadata.DB) {
			missing := func(c *metadata.LedgerCall) { c.Credential, c.Status = "other", 404 }
			book(t, db, call(""), call("", missing))
			asked := func(credential string, since time.Time) bool {
				return must[bool](t)(db.Ledger.Asked(t.Context(), "hub", credential, since))
			}
			same(t, []bool{true, false, false, false}, []bool{asked("acme", noon), asked("acme", noon.Add(time.Second)), asked("other", noon), asked("anonymous", noon)})
		},
		"the pulls that an account was charged for": func(t *testing.T, db *metadata.DB) {
			index := func(c *metadata.LedgerCall) { c.Image = false }
			unmetered := func(c *metadata.LedgerCall) { c.Rate = nil }
			book(t, db, call("", pull), call("", pull, index, after(time.Minute)), call("", left(5), after(2*time.Minute)),
				call("", pull, unmetered, after(3*time.Minute)), call("", pull, elsewhere, after(4*time.Minute)))
			charged := must[[]metadata.LedgerPull](t)(db.Ledger.Charged(t.Context(), acme, noon, many))
			same(t, true, charged[0].ID > charged[1].ID)
			same(t, []metadata.LedgerPull{{ID: charged[0].ID, At: noon.Add(time.Minute)}, {ID: charged[1].ID, At: noon, Image: true}}, charged)
			same(t, charged[:1], must[[]metadata.LedgerPull](t)(db.Ledger.Charged(t.Context(), acme, noon, 1)))
			same(t, charged[:1], must[[]metadata.LedgerPull](t)(db.Ledger.Charged(t.Context(), acme, noon.Add(time.Second), many)))
		},
	})
}

// unnumbered are observations without the numbers that the database gave them.
func unnumbered(all ...metadata.LedgerObservation) []metadata.LedgerObservation {
	all = slices.Clone(all)
	for i := range all {
		all[i].ID = 0
	}
	return all
}

func ledgerWarnings(t *testing.T, open func(t *testing.T) *metadata.DB) {
	acme := metadata.LedgerAccount{Upstream: "hub", Credential: "acme"}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"one of many warns of a level, and of the next one": func(t *testing.T, db *metadata.DB) {
			warned := make(chan bool, 16)
			var warning errgroup.Group
			for i := range cap(warned) {
				warning.Go(func() error {
					first, err := db.Ledger.Warn(t.Context(), acme, 50-30*(i%2), noon, "little is left")
					warned <- first
					return err
				})
			}
			ok(t, warning.Wait())
			close(warned)
			count := 0
			for first := range warned {
				if first {
					count++
				}
			}
			if count < 1 || count > 2 { // 50 may come first, and need not
				t.Errorf("%d have warned of two levels", count)
			}
			same(t, false, must[bool](t)(db.Ledger.Warn(t.Context(), acme, 20, noon, "little is left")))
			same(t, true, must[bool](t)(db.Ledger.Warn(t.Context(), metadata.LedgerAccount{Upstream: "hub", Credential: "anonymous"}, 20, noon, "little is left")))
		},
		"levels are warned of again once the account has risen": func(t *testing.T, db *metadata.DB) {
			warn := func(level int) bool {
				return must[bool](t)(db.Ledger.Warn(t.Context(), acme, level, noon, "little is left"))
			}
			same(t, true, warn(20))
			ok(t, db.Ledger.Rearm(t.Context(), acme, 50))
			same(t, []bool{false, true, false}, []bool{warn(50), warn(20), warn(50)})
			ok(t, db.Ledger.Rearm(t.Context(), acme, 5)) // not higher than it is
			same(t, false, warn(20))
			ok(t, db.Ledger.Rearm(t.Context(), acme, metadata.Unwarned))
			same(t, true, warn(50))
		},
	})
}
