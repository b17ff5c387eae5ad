package pulllimit

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
)

func TestPullsAreCountedInARollingWindow(t *testing.T) {
	h := newHouse(t)
	ls := h.process(false).With(Rules{Anonymous: limit(2, time.Hour)})
	caller := stranger("192.0.2.1")
	for _, step := range []struct {
		name      string
		pass      time.Duration
		pulled    bool
		remaining int
	}{
		{"one", 0, true, 1},
		{"and another", 40 * time.Minute, true, 0},
		{"the third is refused", 0, false, 0},
		{"as long as the first is in the window", 20*time.Minute - time.Nanosecond, false, 0},
		{"and pulled when it has left", time.Nanosecond, true, 0},
		{"but not more than one", 0, false, 0},
	} {
		h.clock.Pass(step.pass)
		if pulled := pull(t, ls, caller, app, latest, image("")); pulled != step.pulled {
			t.Errorf("%s: pulled: %v", step.name, pulled)
		}
		if got := remaining(t, ls, caller, "demo"); got != step.remaining {
			t.Errorf("%s: %d remain, want %d", step.name, got, step.remaining)
		}
	}
}

func TestWhoWaitsAsLongAsTheRefusalSaysCanPull(t *testing.T) {
	h := newHouse(t)
	ls := h.process(false).With(Rules{Authenticated: limit(5, 10*time.Minute)})
	for range 5 {
		pulls(t, ls, user("alice"), app, 1)
		h.clock.Pass(17 * time.Second)
	}
	for range 10 {
		_, err := ls.Take(user("alice"), app, latest)
		reached, ok := errors.AsType[*ReachedError](err)
		if !ok {
			t.Fatalf("the error is %v", err)
		}
		h.clock.Pass(reached.Wait - time.Nanosecond)
		if pulls(t, ls, user("alice"), app, 1) != 0 {
			t.Fatal("it could be pulled before the time")
		}
		h.clock.Pass(time.Nanosecond)
		if pulls(t, ls, user("alice"), app, 1) != 1 {
			t.Fatal("it could not be pulled after the time that was said")
		}
	}
}

func TestManyAtOnceNeverGetMoreThanTheLimit(t *testing.T) {
	ls := newHouse(t).process(false).With(Rules{Anonymous: limit(100, time.Hour)})
	var pulled atomic.Int64
	var clients sync.WaitGroup
	begin := make(chan struct{})
	for client := range 64 {
		clients.Go(func() {
			<-begin
			for i := range 20 {
				p, err := ls.Take(stranger("192.0.2.1"), app, latest)
				if err != nil {
					continue
				}
				if (client+i)%3 == 0 {
					p.GiveBack() // there was no such manifest
					continue
				}
				p.Served(image(""))
				pulled.Add(1)
			}
		})
	}
	close(begin)
	clients.Wait()
	if got := pulled.Load(); got != 100 {
		t.Errorf("%d were pulled, want 100", got)
	}
	if got := remaining(t, ls, stranger("192.0.2.1"), "demo"); got != 0 {
		t.Errorf("%d remain", got)
	}
}

func TestWhatIsNotServedIsNotCounted(t *testing.T) {
	ls := newHouse(t).process(false).With(Rules{Anonymous: limit(2, time.Hour)})
	caller := stranger("192.0.2.1")
	for range 5 {
		p, err := ls.Take(caller, app, latest)
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := p.Standing(); s.Remaining != 1 {
			t.Errorf("%d remain while it is asked for, want 1", s.Remaining)
		}
		p.GiveBack()
		p.GiveBack() // does nothing more
		if s, _ := p.Standing(); s.Remaining != 2 {
			t.Errorf("%d remain after it, want 2", s.Remaining)
		}
	}
	if got := pulls(t, ls, caller, app, 3); got != 2 {
		t.Errorf("%d were pulled after it, want 2", got)
	}
}

func TestAnIndexAndOneOfItsManifestsAreOnePull(t *testing.T) {
	amd64, arm64, other := image("amd64"), image("arm64"), image("other")
	both := index(amd64, arm64)
	nested := index(both)
	type get struct {
		repo  oci.Repository
		ref   oci.Reference
		m     oci.Manifest
		pass  time.Duration
		costs int
	}
	const copied = oci.Repository("demo/copy")
	for _, tt := range []struct {
		name string
		gets []get
	}{
		{"an index by tag and a manifest", []get{{app, latest, both, 0, 1}, {app, byDigest(amd64), amd64, 0, 0}}},
		{"an index by digest and a manifest", []get{{app, byDigest(both), both, 0, 1}, {app, byDigest(arm64), arm64, 0, 0}}},
		{"each further manifest is a pull", []get{{app, latest, both, 0, 1}, {app, byDigest(amd64), amd64, 0, 0}, {app, byDigest(arm64), arm64, 0, 1}, {app, byDigest(amd64), amd64, 0, 1}}},
		{"two indexes and two manifests are two", []get{
			{app, latest, both, 0, 1}, {app, latest, both, 0, 1}, {app, byDigest(amd64), amd64, 0, 0}, {app, byDigest(amd64), amd64, 0, 0}, {app, byDigest(amd64), amd64, 0, 1},
		}},
		{"an index that is never followed is one", []get{{app, latest, both, 0, 1}, {app, latest, both, 0, 1}}},
		{"a manifest before its index is one of its own", []get{{app, byDigest(amd64), amd64, 0, 1}, {app, latest, both, 0, 1}}},
		{"a manifest of another image is one of its own", []get{{app, latest, both, 0, 1}, {app, byDigest(other), other, 0, 1}}},
		{"a manifest in another repository too", []get{{app, latest, both, 0, 1}, {copied, byDigest(amd64), amd64, 0, 1}}},
		{"a manifest that comes by a tag too", []get{{app, latest, both, 0, 1}, {app, oci.Reference{Tag: "amd64"}, amd64, 0, 1}}},
		{"a manifest minutes later belongs to it", []get{{app, latest, both, 0, 1}, {app, byDigest(amd64), amd64, halfLife, 0}}},
		{"a manifest long after does not", []get{{app, latest, both, 0, 1}, {app, byDigest(amd64), amd64, halfLife + time.Second, 1}}},
		{"two GETs are a pull, not three", []get{{app, latest, nested, 0, 1}, {app, byDigest(both), both, 0, 0}, {app, byDigest(amd64), amd64, 0, 1}}},
		{"images of one platform are one each", []get{{app, latest, amd64, 0, 1}, {app, byDigest(amd64), amd64, 0, 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			ls := h.process(false).With(Rules{Anonymous: limit(100, 6*time.Hour)})
			caller := stranger("192.0.2.1")
			left := 100
			for i, g := range tt.gets {
				h.clock.Pass(g.pass)
				pull(t, ls, caller, g.repo, g.ref, g.m)
				left -= g.costs
				if got := remaining(t, ls, caller, "demo"); got != left {
					t.Fatalf("after GET %d %d remain, want %d", i+1, got, left)
				}
			}
		})
	}
}

func TestAnIndexThatTookLongIsForgottenInItsTime(t *testing.T) {
	h := newHouse(t)
	amd64 := image("amd64")
	ls := h.process(false).With(Rules{Anonymous: limit(100, 6*time.Hour)})
	caller := stranger("192.0.2.1")
	slow, err := ls.Take(caller, app, latest)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Pass(halfLife / 2)
	pull(t, ls, caller, app, latest, index(image("other")))
	slow.Served(index(amd64))
	h.clock.Pass(halfLife/2 + time.Second)
	pull(t, ls, caller, app, byDigest(amd64), amd64)
	if got := remaining(t, ls, caller, "demo"); got != 97 {
		t.Errorf("%d pulls remain, want 97: the manifest came too late to belong to its index", got)
	}
}

// TestManyIndexesThatWaitDoNotSlowPullsDown: an address behind which many nodes pull has
// always some that wait, and each GET of a manifest by digest looks through them.
func TestManyIndexesThatWaitDoNotSlowPullsDown(t *testing.T) {
	ls := newHouse(t).process(false).With(Rules{Anonymous: limit(1_000_000, 6*time.Hour)})
	caller, alone := stranger("192.0.2.1"), image("alone")
	for range maxHalves / 2 {
		pull(t, ls, caller, app, latest, index(image("a")))
		pull(t, ls, caller, app, latest, index(image("b")))
	}
	if got := testing.AllocsPerRun(20, func() { pull(t, ls, caller, app, byDigest(alone), alone) }); got > 5 {
		t.Errorf("a pull makes %.0f allocations, with %d indexes that wait", got, maxHalves)
	}
}

func TestTheLastPullCanBeCompleted(t *testing.T) {
	amd64 := image("amd64")
	both := index(amd64)
	ls := newHouse(t).process(false).With(Rules{Anonymous: limit(1, time.Hour)})
	caller := stranger("192.0.2.1")
	if !pull(t, ls, caller, app, latest, both) || pull(t, ls, caller, app, latest, both) {
		t.Fatal("one index can be pulled and no other")
	}
	if pull(t, ls, stranger("192.0.2.1"), app, byDigest(image("x")), image("x")) {
		t.Error("another manifest was taken for one of the index")
	}
	if !pull(t, ls, caller, app, byDigest(amd64), amd64) {
		t.Error("the manifest of the index was refused")
	}
	if pull(t, ls, caller, app, byDigest(amd64), amd64) {
		t.Error("it was pulled a second time")
	}
}

func TestAManifestThatWasNotServedCanStillComplete(t *testing.T) {
	amd64 := image("amd64")
	both := index(amd64)
	ls := newHouse(t).process(false).With(Rules{Anonymous: limit(1, time.Hour)})
	caller := stranger("192.0.2.1")
	pull(t, ls, caller, app, latest, both)
	for range 3 {
		p, err := ls.Take(caller, app, byDigest(amd64))
		if err != nil {
			t.Fatal(err)
		}
		p.GiveBack()
	}
	if !pull(t, ls, caller, app, byDigest(amd64), amd64) {
		t.Error("the manifest of the index was refused")
	}
}

func TestTheImagesOfAProjectWithALimitAreCountedApart(t *testing.T) {
	ls := newHouse(t).process(false).With(Rules{
		Authenticated: limit(3, time.Hour), Projects: map[string]ratelimit.Limit{"heavy": limit(2, time.Hour), "open": {}},
	})
	if got := pulls(t, ls, user("alice"), "heavy/app", 5); got != 2 {
		t.Errorf("%d were pulled of the project, want 2", got)
	}
	if got := pulls(t, ls, user("alice"), "open/app", 50); got != 50 {
		t.Errorf("%d were pulled of the project without a limit, want 50", got)
	}
	if got := pulls(t, ls, user("alice"), app, 5); got != 3 {
		t.Errorf("%d were pulled of the others, want 3", got)
	}
	if got := pulls(t, ls, user("bob"), "heavy/app", 5); got != 2 {
		t.Errorf("somebody else pulled %d, want 2", got)
	}
}

func TestOtherRulesCountWhatWasPulledBefore(t *testing.T) {
	l := newHouse(t).process(false)
	pulls(t, l.With(Rules{Authenticated: limit(100, time.Hour)}), user("alice"), app, 30)
	for most, want := range map[int]int{100: 70, 31: 1, 10: 0} {
		if got := remaining(t, l.With(Rules{Authenticated: limit(most, time.Hour)}), user("alice"), "demo"); got != want {
			t.Errorf("of %d pulls %d remain, want %d", most, got, want)
		}
	}
	if got := remaining(t, l.With(Rules{Groups: map[string]ratelimit.Limit{"devs": limit(40, time.Hour)}}), user("alice", "devs"), "demo"); got != 10 {
		t.Errorf("as a member of a group %d remain, want 10", got)
	}
}

func TestOnlyTheFirstRefusalOfAnHourIsOneToNote(t *testing.T) {
	h := newHouse(t)
	ls := h.process(false).With(Rules{Anonymous: limit(1, 24*time.Hour)})
	pulls(t, ls, stranger("192.0.2.1"), app, 1)
	first := func() bool {
		_, err := ls.Take(stranger("192.0.2.1"), app, latest)
		reached, _ := errors.AsType[*ReachedError](err)
		return reached.First
	}
	if !first() || first() || first() {
		t.Error("not the first refusal, or not it alone, is one to note")
	}
	h.clock.Pass(time.Hour)
	if !first() || first() {
		t.Error("an hour later, not one more is")
	}
}
