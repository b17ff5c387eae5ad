package pulllimit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/ratelimit"
)

func TestACleanRestartForgetsNoPull(t *testing.T) {
	h := newHouse(t)
	rules := Rules{Anonymous: limit(5, time.Hour), Authenticated: limit(7, time.Hour), Projects: map[string]ratelimit.Limit{"heavy": limit(3, time.Hour)}}
	callers := []Caller{stranger("192.0.2.1"), stranger("2600:3c00::1"), {Identity: authn.Anonymous()}, user("alice"), user("alice smith")}
	first := h.process(false)
	for _, c := range callers {
		pulls(t, first.With(rules), c, app, 3)
		pulls(t, first.With(rules), c, "heavy/app", 1)
	}
	h.clock.Pass(10 * time.Minute)
	h.shutdown(first)
	second := h.process(false)
	for _, c := range callers {
		want, _ := first.With(rules).Standing(c, "demo")
		if got, _ := second.With(rules).Standing(c, "demo"); got != want {
			t.Errorf("%s stands at %+v, and before the restart at %+v", want.Source, got, want)
		}
		if got := pulls(t, second.With(rules), c, "heavy/app", 5); got != 2 {
			t.Errorf("%s pulled %d of the project with a limit of its own, want 2", want.Source, got)
		}
	}
	// It counts on, through a third process too, and the first pulls leave the window.
	pulls(t, second.With(rules), user("alice"), app, 1)
	h.shutdown(second)
	third := h.process(false).With(rules)
	if got := pulls(t, third, user("alice"), app, 10); got != 3 {
		t.Errorf("%d were pulled, want 3", got)
	}
	h.clock.Pass(50 * time.Minute)
	if got := pulls(t, third, user("alice"), app, 10); got != 3 {
		t.Errorf("after the first have left the window %d were pulled, want 3", got)
	}
}

func TestAKilledProcessLosesWhatItCountedSinceTheLastWriting(t *testing.T) {
	h := newHouse(t)
	rules := Rules{Anonymous: limit(10, time.Hour)}
	l := h.process(false)
	pulls(t, l.With(rules), stranger("192.0.2.1"), app, 4)
	h.exchange(l)
	pulls(t, l.With(rules), stranger("192.0.2.1"), app, 2)
	if got := remaining(t, h.process(false).With(rules), stranger("192.0.2.1"), "demo"); got != 6 {
		t.Errorf("%d remain, want 6", got)
	}
}

func TestAPullThatARestartInterruptsIsStillOne(t *testing.T) {
	h := newHouse(t)
	rules := Rules{Anonymous: limit(10, time.Hour)}
	amd64 := image("amd64")
	first := h.process(false)
	pull(t, first.With(rules), stranger("192.0.2.1"), app, latest, index(amd64))
	h.shutdown(first)
	second := h.process(false).With(rules)
	for i, want := range []int{9, 8} {
		pull(t, second, stranger("192.0.2.1"), app, byDigest(amd64), amd64)
		if got := remaining(t, second, stranger("192.0.2.1"), "demo"); got != want {
			t.Errorf("after manifest %d %d remain, want %d", i+1, got, want)
		}
	}
}

func TestProcessesOnOneDatabaseCountTogether(t *testing.T) {
	h := newHouse(t)
	rules := Rules{Authenticated: limit(10, time.Hour)}
	a, b := h.process(true), h.process(true)
	one, two := a.With(rules), b.With(rules)
	pulls(t, one, user("alice"), app, 4)
	pulls(t, two, user("alice"), app, 3)
	h.exchange(a, b, a)
	for name, ls := range map[string]*Limits{"one": one, "the other": two} {
		if got := remaining(t, ls, user("alice"), "demo"); got != 3 {
			t.Errorf("at %s %d remain, want 3", name, got)
		}
	}
	pulls(t, one, user("alice"), app, 2)
	h.exchange(a, b)
	h.exchange(b, a)
	if got := pulls(t, two, user("alice"), app, 5); got != 1 {
		t.Errorf("%d were pulled, want the last one", got)
	}
	h.exchange(b, a)
	s, _ := one.Standing(user("alice"), "demo")
	if s.Remaining != 0 || s.Wait != time.Hour {
		t.Errorf("%d remain, the next in %s", s.Remaining, s.Wait)
	}
}

func TestWhatAnotherProcessGivesBackIsFreeAgain(t *testing.T) {
	h := newHouse(t)
	rules := Rules{Authenticated: limit(10, time.Hour)}
	a, b := h.process(true), h.process(true)
	p, err := a.With(rules).Take(user("alice"), app, latest)
	if err != nil {
		t.Fatal(err)
	}
	b.With(rules)
	for _, want := range []int{9, 10} {
		h.exchange(a, b)
		if got := remaining(t, b.With(rules), user("alice"), "demo"); got != want {
			t.Errorf("%d remain, want %d", got, want)
		}
		p.GiveBack()
	}
}

func TestAPullThatTwoProcessesServeIsOne(t *testing.T) {
	amd64 := image("amd64")
	both := index(amd64, image("arm64"))
	caller := stranger("192.0.2.1")
	rules := Rules{Anonymous: limit(10, time.Hour)}
	left := func(t *testing.T, want int, all ...*Limiter) {
		t.Helper()
		for _, l := range all {
			if got := remaining(t, l.With(rules), caller, "demo"); got != want {
				t.Errorf("%d remain, want %d", got, want)
			}
		}
	}
	t.Run("the second knows of the index already", func(t *testing.T) {
		h := newHouse(t)
		a, b := h.process(true), h.process(true)
		pull(t, a.With(rules), caller, app, latest, both)
		b.With(rules)
		h.exchange(a, b)
		pull(t, b.With(rules), caller, app, byDigest(amd64), amd64)
		left(t, 9, a, b)
		h.exchange(b, a)
		pull(t, a.With(rules), caller, app, byDigest(amd64), amd64) // one manifest completes it, not two
		h.exchange(a, b)
		left(t, 8, a, b)
	})
	t.Run("it hears of the index afterwards", func(t *testing.T) {
		h := newHouse(t)
		a, b := h.process(true), h.process(true)
		pull(t, a.With(rules), caller, app, latest, both)
		pull(t, b.With(rules), caller, app, byDigest(amd64), amd64)
		h.exchange(a, b)
		left(t, 9, b)
		h.exchange(b, a)
		left(t, 9, a)
		pull(t, b.With(rules), caller, app, byDigest(amd64), amd64)
		h.exchange(b, a, b)
		left(t, 8, a, b)
	})
	t.Run("it gives the manifest back", func(t *testing.T) {
		h := newHouse(t)
		a, b := h.process(true), h.process(true)
		pull(t, a.With(rules), caller, app, latest, both)
		b.With(rules)
		h.exchange(a, b)
		p, err := b.With(rules).Take(caller, app, byDigest(amd64))
		if err != nil {
			t.Fatal(err)
		}
		p.GiveBack()
		h.exchange(b, a)
		pull(t, a.With(rules), caller, app, byDigest(amd64), amd64)
		h.exchange(a, b)
		left(t, 9, a, b)
	})
}

// flaky is a store that fails when it is told to.
type flaky struct {
	Store
	err error
}

func (f *flaky) Put(ctx context.Context, all []metadata.LimitCounter) error {
	if f.err != nil {
		return f.err
	}
	return f.Store.Put(ctx, all)
}

func TestWhatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	h := newHouse(t)
	rules := Rules{Anonymous: limit(10, time.Hour)}
	l := h.process(false)
	store := &flaky{Store: l.Store, err: errors.New("the disk is full")}
	l.Store = store
	for i := range 3 * atOnce {
		address := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		pulls(t, l.With(rules), stranger(address.String()), app, 1)
	}
	if err := l.exchange(t.Context()); !errors.Is(err, store.err) {
		t.Fatalf("the error is %v", err)
	}
	store.err = nil
	h.exchange(l)
	again := h.process(false)
	if len(again.subjects) != 3*atOnce || len(l.changed) != 0 {
		t.Errorf("%d were written and %d are left, want all of %d", len(again.subjects), len(l.changed), 3*atOnce)
	}
}

func TestWhatNoLongerCountsIsForgotten(t *testing.T) {
	h := newHouse(t)
	rules := Rules{Anonymous: limit(10, time.Hour), Authenticated: limit(10, 3*time.Hour)}
	l := h.process(false)
	pull(t, l.With(rules), stranger("192.0.2.1"), app, latest, index(image("amd64")))
	pulls(t, l.With(rules), user("alice"), app, 1)
	h.exchange(l)
	h.clock.Pass(time.Hour)
	h.exchange(l)
	if len(l.subjects) != 1 || l.marks != 1 {
		t.Errorf("%d subjects with %d marks are kept, want that of alice", len(l.subjects), l.marks)
	}
	if err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept, err := h.db.LimitCounters.List(t.Context(), metadata.LimitCounterQuery{Limit: 10})
	if err != nil || len(kept) != 1 || kept[0].Subject != " account alice" {
		t.Errorf("%v is left in the database, %v", kept, err)
	}
}

func TestALimitThatIsLongerHereKeepsWhatAnotherProcessCounted(t *testing.T) {
	h := newHouse(t)
	a, b := h.process(true), h.process(true)
	longer := b.With(Rules{Authenticated: limit(10, 3*time.Hour)})
	pulls(t, longer, user("alice"), app, 1)
	h.clock.Pass(time.Minute)
	pulls(t, a.With(Rules{Authenticated: limit(10, time.Hour)}), user("alice"), app, 1)
	h.exchange(a, b)
	h.clock.Pass(3*time.Hour - 30*time.Second)
	h.exchange(b)
	if got := remaining(t, longer, user("alice"), "demo"); got != 9 {
		t.Errorf("%d of 10 remain, want 9: the other process's pull was less than three hours ago", got)
	}
}

func TestWhoComesFromManyAddressesMakesNobodyForgottenWhoPulledMore(t *testing.T) {
	const most = 500
	h := newHouse(t)
	ls := h.process(false).With(Rules{Anonymous: limit(10, time.Hour)})
	ls.limiter.mostSubjects = most
	pulls(t, ls, stranger("192.0.2.1"), app, 10)
	for i := range 10 * most {
		p, err := ls.Take(Caller{Identity: authn.Anonymous(), Address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}, app, latest)
		if err != nil {
			t.Fatal(err)
		}
		p.Served(image(""))
	}
	if got, changed := len(ls.limiter.subjects), len(ls.limiter.changed); got != most || changed > most {
		t.Errorf("%d subjects are kept, and %d to be written, want %d", got, changed, most)
	}
	if got := remaining(t, ls, stranger("192.0.2.1"), "demo"); got != 0 {
		t.Errorf("%d remain of a limit that was used up", got)
	}
}

func TestTheTimesThatAreKeptAreBounded(t *testing.T) {
	h := newHouse(t)
	ls := h.process(false).With(Rules{Anonymous: limit(100, time.Hour)})
	ls.limiter.mostMarks = 1000
	for i := range 100 {
		for range 50 {
			h.clock.Pass(time.Microsecond)
			pulls(t, ls, stranger(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String()), app, 1)
		}
	}
	kept := 0
	for _, c := range ls.limiter.subjects {
		kept += c.marks()
	}
	if kept != ls.limiter.marks || kept > 1050 || kept < 900 {
		t.Errorf("%d times are kept, and taken for %d", kept, ls.limiter.marks)
	}
}

func TestASubjectIsReadAsItWasWritten(t *testing.T) {
	long := user(fmt.Sprintf("%600d", 7))
	for _, c := range []Caller{stranger("192.0.2.1"), stranger("2600:3c00:0:1::9"), {Identity: authn.Anonymous()}, user("alice"), user("Jürgen address x"), user("a\x00b"), long} {
		for _, project := range []string{"", "demo"} {
			s := subjectOf(c, project)
			if got, ok := parseSubject(s.key()); !ok || got != s || len(s.key()) > 600 {
				t.Errorf("%q became %+v, %v; it was %+v", s.key(), got, ok, s)
			}
		}
	}
	for _, key := range []string{"", "x", " account ", " address x", "demo", "demo thing x"} {
		if s, ok := parseSubject(key); ok {
			t.Errorf("%q is taken for %+v", key, s)
		}
	}
}

func FuzzReadReport(f *testing.F) {
	var history ratelimit.History
	history.Add(limit(10, time.Hour), time.Unix(1_800_000_000, 0))
	f.Add(report{
		history: history, halves: []sharedHalf{{id: 7, at: time.UnixMicro(5), sums: []uint64{1, 2}}},
		used: []usedHalf{{holder: "another", id: 3, at: time.UnixMicro(-5)}},
	}.encode())
	f.Add(report{}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readReport(b)
		if err != nil {
			return
		}
		again, err := readReport(got.encode())
		if err != nil || len(again.halves) != len(got.halves) || len(again.used) != len(got.used) || again.history.Total() != got.history.Total() {
			t.Errorf("%q was read as %+v and then as %+v, %v", b, got, again, err)
		}
	})
}
