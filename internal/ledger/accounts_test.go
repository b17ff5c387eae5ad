package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/upstream"
)

// hub is docker-hub, asked as acme and as strangers.
func hub(changes ...func(*upstream.Budget)) ledger.Upstream {
	u := ledger.Upstream{Name: "docker-hub", WarnAt: []int{50, 20, 5}, Credentials: []upstream.Budget{{Credential: "acme"}, {Credential: "anonymous"}}}
	for _, change := range changes {
		change(&u.Credentials[0])
	}
	return u
}

func (d *desk) accounts(u ledger.Upstream) []ledger.Account {
	d.t.Helper()
	all, err := d.Accounts(d.t.Context(), u)
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// acme is the account of the first credential.
func (d *desk) acme() ledger.Account {
	d.t.Helper()
	return d.accounts(hub())[0]
}

// index is a pull of a list of manifests, check one of the kind that is never counted.
func index(c upstream.Call) upstream.Call { c.Index = true; return c }
func check(c upstream.Call) upstream.Call { c.Kind = upstream.CallManifestHead; return c }

// says changes what an answer told of the limit.
func says(limit, left int64, window time.Duration) func(upstream.Call) upstream.Call {
	return func(c upstream.Call) upstream.Call {
		c.Rate = &upstream.Rate{Limit: limit, Remaining: left, Window: window, Source: "acme-id"}
		return c
	}
}

func TestWhatIsLeftIsToldByTheHeaderAndTheLedger(t *testing.T) {
	d := newDesk(t)
	for left := range 3 {
		d.books(d.pulls(int64(99 - left)))
		d.clock.Pass(time.Minute)
	}
	got := d.acme()
	want := ledger.Account{
		Upstream: "docker-hub", Credential: "acme", Source: "acme-id", Metered: true, Asked: true,
		Limit: 100, Left: 97, Window: 6 * time.Hour, At: noon.Add(2 * time.Minute),
		NextFree: noon.Add(6 * time.Hour), AllFree: noon.Add(6*time.Hour + 2*time.Minute), Burn: 40,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the account (-want +got):\n%s", diff)
	}
	// Without another call it is known all the same when pulls come free.
	d.clock.Pass(6*time.Hour - 2*time.Minute)
	if got := d.acme(); got.Left != 99 || got.NextFree != noon.Add(6*time.Hour+2*time.Minute) {
		t.Errorf("six hours later %d are left, and the next comes free at %s", got.Left, got.NextFree)
	}
	d.clock.Pass(time.Hour)
	if got := d.acme(); got.Left != 100 || !got.NextFree.IsZero() || !got.AllFree.IsZero() || got.Burn != 0 {
		t.Errorf("another hour later: %+v", got)
	}
}

func TestEveryHeaderTellsOfTheLimitAlsoThatOfACheck(t *testing.T) {
	for name, test := range map[string]struct {
		call   func(upstream.Call) upstream.Call
		limit  int64
		left   int64
		window time.Duration
	}{
		"a pull":                       {says(100, 99, 6*time.Hour), 100, 99, 6 * time.Hour},
		"a check":                      {func(c upstream.Call) upstream.Call { return check(says(100, 60, 6*time.Hour)(c)) }, 100, 60, 6 * time.Hour},
		"another window":               {says(10, 9, time.Hour), 10, 9, time.Hour},
		"a window that is not told":    {says(10, 9, 0), 10, 9, 6 * time.Hour},
		"an account that is overdrawn": {says(100, -7, 6*time.Hour), 100, -7, 6 * time.Hour},
		"a refusal": {func(c upstream.Call) upstream.Call {
			c = says(100, 0, 6*time.Hour)(c)
			c.Status = 429
			return c
		}, 100, 0, 6 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.books(test.call(d.pulls(0)))
			if got := d.acme(); got.Limit != test.limit || got.Left != test.left || got.Window != test.window {
				t.Errorf("%d of %d in %s are left, want %d of %d in %s", got.Left, got.Limit, got.Window, test.left, test.limit, test.window)
			}
		})
	}
}

func TestAnAccountWithoutHeadersHasNoLimit(t *testing.T) {
	d := newDesk(t)
	if got := d.acme(); got.Metered || got.Asked {
		t.Errorf("before it was asked: %+v", got)
	}
	unmetered := d.pulls(0)
	unmetered.Rate = nil
	d.books(unmetered)
	if got := d.acme(); got.Metered || !got.Asked || got.Limit != 0 {
		t.Errorf("after it was asked: %+v", got)
	}
}

func TestWhatOthersSpendWithTheSameAccountShows(t *testing.T) {
	d := newDesk(t)
	d.books(d.pulls(99), d.pulls(98))
	d.books(d.pulls(85)) // twelve more than were booked
	if got := d.acme(); got.Elsewhere != 12 || got.Left != 85 {
		t.Errorf("%d were spent elsewhere, %d are left", got.Elsewhere, got.Left)
	}
	d.clock.Pass(3 * time.Hour)
	if got := d.acme(); got.Elsewhere != 6 || got.Left != 91 {
		t.Errorf("half a window later %d were spent elsewhere, %d are left", got.Elsewhere, got.Left)
	}
	if got := d.acme(); got.AllFree != noon.Add(6*time.Hour) {
		t.Errorf("all come free at %s", got.AllFree)
	}
	d.clock.Pass(4 * time.Hour)
	if got := d.acme(); got.Elsewhere != 0 || got.Left != 100 {
		t.Errorf("a window later %d were spent elsewhere, %d are left", got.Elsewhere, got.Left)
	}
}

func TestPullsThatAreNotMeteredCostNothing(t *testing.T) {
	d := newDesk(t)
	sponsored := d.pulls(0)
	sponsored.Rate = nil
	d.books(sponsored, sponsored, d.pulls(99))
	if got := d.acme(); got.Elsewhere != 0 || got.Left != 99 {
		t.Errorf("%d were spent elsewhere, %d are left", got.Elsewhere, got.Left)
	}
}

func TestBothWaysToCountAPullAreKnown(t *testing.T) {
	t.Run("requests", func(t *testing.T) {
		d := newDesk(t)
		for i := range int64(10) {
			d.books(index(d.pulls(99-2*i)), d.pulls(98-2*i))
		}
		if got := d.acme(); got.Left != 80 || got.Elsewhere != 0 {
			t.Errorf("%d left, %d elsewhere", got.Left, got.Elsewhere)
		}
	})
	t.Run("architectures", func(t *testing.T) {
		d := newDesk(t)
		for i := range int64(10) {
			d.books(index(d.pulls(100-i)), d.pulls(99-i))
			d.clock.Pass(time.Minute)
		}
		got := d.acme()
		if got.Left != 90 || got.Elsewhere != 0 {
			t.Errorf("%d left, %d elsewhere", got.Left, got.Elsewhere)
		}
		if got.Burn < 50 || got.Burn > 60 {
			t.Errorf("%v pulls an hour, for one a minute", got.Burn)
		}
	})
}

// Answers of calls that are made at once come in any order.
func TestAnAnswerThatCameLateMakesNobodyElseSpend(t *testing.T) {
	d := newDesk(t)
	first, second := index(d.pulls(99)), index(d.pulls(98))
	d.books(second, first)
	if got := d.acme(); got.Elsewhere != 0 {
		t.Errorf("%d were spent elsewhere", got.Elsewhere)
	}
}

func TestStrangersAreChargedByTheAddressThatTheyHave(t *testing.T) {
	d := newDesk(t)
	from := func(address string, left int64) upstream.Call {
		c := d.pulls(0)
		c.Credential, c.Rate = "anonymous", &upstream.Rate{Limit: 100, Remaining: left, Window: 6 * time.Hour, Source: address}
		return c
	}
	d.books(from("192.0.2.1", 40), from("192.0.2.2", 90))
	addresses := func() map[string]int64 {
		left := map[string]int64{}
		for _, a := range d.accounts(hub())[1:] {
			left[a.Source] = a.Left
		}
		return left
	}
	if diff := cmp.Diff(map[string]int64{"192.0.2.1": 40, "192.0.2.2": 90}, addresses()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	d.clock.Pass(5 * time.Hour)
	d.books(from("192.0.2.1", 30))
	d.clock.Pass(2 * time.Hour)
	if got := addresses(); len(got) != 1 || got["192.0.2.1"] == 0 {
		t.Errorf("an address that is not used any more is told of: %v", got)
	}
}

func TestTheStandingOfACredentialIsTold(t *testing.T) {
	d := newDesk(t)
	d.books(d.pulls(0))
	later := noon.Add(time.Minute)
	refused := d.accounts(hub(func(b *upstream.Budget) { b.Refused, b.RestsUntil, b.AllRestsUntil = true, noon, later }))[0]
	if !refused.Refused || refused.RestsUntil != later {
		t.Errorf("refused %t, rests until %s", refused.Refused, refused.RestsUntil)
	}
}

func TestOneNameOfSeveralCredentialsIsToldOnce(t *testing.T) {
	d := newDesk(t)
	d.books(d.pulls(99))
	u := hub()
	u.Credentials = append(u.Credentials, upstream.Budget{Credential: "acme"})
	if got := len(d.accounts(u)); got != 2 {
		t.Errorf("%d accounts are told of", got)
	}
}
