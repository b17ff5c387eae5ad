package ratelimit

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// rush tries at random times, and tells when it was let through.
func rush(l Limit, tries int, r *rand.Rand) []time.Time {
	var h History
	var happened []time.Time
	now := noon
	for range tries {
		now = now.Add(time.Duration(r.Int64N(int64(4 * l.Window / time.Duration(l.Most)))))
		if r.IntN(50) == 0 {
			now = now.Add(l.Window / 2)
		}
		h.Forget(l, now)
		if l.Wait(now, &h) > 0 {
			continue
		}
		h.Add(l, now)
		happened = append(happened, now)
	}
	return happened
}

func TestNoWindowEverHoldsMoreThanTheLimitAllows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, l := range []Limit{{1, time.Second}, {3, 10 * time.Second}, {100, 6 * time.Hour}, {1000, time.Minute}, {5000, time.Hour}} {
		happened := rush(l, 20*l.Most, r)
		if len(happened) < 2*l.Most {
			t.Fatalf("%s: only %d were let through, which shows nothing", l, len(happened))
		}
		for i := range happened[l.Most:] {
			if span := happened[i+l.Most].Sub(happened[i]); span < l.Window {
				t.Fatalf("%s: number %d comes %s after number %d", l, i+l.Most, span, i)
			}
		}
	}
}

func TestAfterTheWaitAnotherMayHappenAndNotBefore(t *testing.T) {
	l := Limit{Most: 3, Window: time.Minute}
	var h History
	now := noon
	for range 3 {
		h.Add(l, now)
		now = now.Add(10 * time.Second)
	}
	wait := l.Wait(now, &h)
	if wait != 30*time.Second {
		t.Fatalf("it waits %s, want 30 seconds", wait)
	}
	h.Forget(l, now.Add(wait-time.Nanosecond))
	if left := l.Wait(now.Add(wait-time.Nanosecond), &h); left != time.Nanosecond {
		t.Errorf("a nanosecond early, it waits %s", left)
	}
	h.Forget(l, now.Add(wait))
	if left := l.Wait(now.Add(wait), &h); left != 0 {
		t.Errorf("after the wait, it waits %s", left)
	}
}

func TestTheWaitOfALowerLimitIsUntilEnoughHasLeftTheWindow(t *testing.T) {
	var h History
	for i := range 5 {
		h.Add(Limit{10, time.Minute}, noon.Add(time.Duration(i)*time.Second))
	}
	l := Limit{Most: 2, Window: time.Minute}
	if wait := l.Wait(noon.Add(10*time.Second), &h); wait != 53*time.Second {
		t.Errorf("it waits %s, want until the fourth has left", wait)
	}
}

func TestSeveralHistoriesCountTogether(t *testing.T) {
	l := Limit{Most: 3, Window: time.Minute}
	var one, other History
	one.Add(l, noon.Add(time.Second))
	other.Add(l, noon)
	other.Add(l, noon.Add(2*time.Second))
	if wait := l.Wait(noon.Add(10*time.Second), &one, &other); wait != 50*time.Second {
		t.Errorf("it waits %s, want 50 seconds", wait)
	}
	if wait := l.Wait(noon.Add(10*time.Second), &one); wait != 0 {
		t.Errorf("one of them alone waits %s", wait)
	}
	if wait := (Limit{}).Wait(noon, &one, &other); wait != 0 {
		t.Errorf("without a limit it waits %s", wait)
	}
}

func TestWhatIsTakenBackIsAsIfItHadNotHappened(t *testing.T) {
	for _, l := range []Limit{{10, time.Minute}, {100_000, time.Hour}} {
		var h, want History
		for i := range 5 {
			h.Add(l, noon.Add(time.Duration(i)*time.Second))
			if i != 2 {
				want.Add(l, noon.Add(time.Duration(i)*time.Second))
			}
		}
		h.Remove(l, noon.Add(2*time.Second))
		if h.Total() != 4 || !slices.Equal(h.marks, want.marks) {
			t.Errorf("%s: %v is left, want %v", l, h.marks, want.marks)
		}
		h.Remove(l, noon.Add(time.Hour))
		if h.Total() != 4 {
			t.Errorf("%s: what never happened was taken back", l)
		}
	}
}

func TestAHistoryIsBoundedHoweverMuchALimitAllows(t *testing.T) {
	l := Limit{Most: 1_000_000, Window: time.Hour}
	var h History
	for i := range 100_000 {
		h.Add(l, noon.Add(time.Duration(i)*36*time.Millisecond))
	}
	if h.Marks() > exactMarks+1 || h.Total() != 100_000 {
		t.Errorf("%d times are kept as %d marks", h.Total(), h.Marks())
	}
}

func TestAClockThatIsSetBackLocksNobodyOut(t *testing.T) {
	for _, l := range []Limit{{2, time.Minute}, {100_000, time.Minute}} {
		var h History
		h.Add(l, noon.Add(-time.Second))
		for range l.Most - 1 {
			h.Add(l, noon.Add(240*time.Hour))
		}
		h.Forget(l, noon)
		if wait := l.Wait(noon, &h); wait > l.Window || wait <= 0 {
			t.Errorf("%s: it waits %s", l, wait)
		}
		h.Forget(l, noon.Add(l.Window+time.Second))
		if h.Total() != 0 {
			t.Errorf("%s: a window later %d count", l, h.Total())
		}
	}
}

func TestTimesThatComeOutOfOrderAreKeptInOrder(t *testing.T) {
	l := Limit{Most: 10, Window: time.Minute}
	var h History
	for _, second := range []int{3, 1, 2, 1, 3} {
		h.Add(l, noon.Add(time.Duration(second)*time.Second))
	}
	at, second := noon.UnixNano(), time.Second.Nanoseconds()
	want := []mark{{at + second, 2}, {at + 2*second, 1}, {at + 3*second, 2}}
	if !slices.Equal(h.marks, want) || !h.Last().Equal(noon.Add(3*time.Second)) {
		t.Errorf("kept as %v until %s, want %v", h.marks, h.Last(), want)
	}
}

func TestAHistoryIsReadAsItWasWritten(t *testing.T) {
	var empty, h History
	for i := range 300 {
		h.Add(Limit{1000, time.Hour}, noon.Add(time.Duration(i*i)*time.Second))
		h.Add(Limit{1000, time.Hour}, noon.Add(time.Duration(i*i/7)*time.Second))
	}
	for _, one := range []History{empty, h} {
		got, rest, err := ReadHistory(one.Append([]byte("ab"))[2:])
		if err != nil || len(rest) != 0 || got.total != one.total || !slices.Equal(got.marks, one.marks) {
			t.Errorf("%v became %v, %q, %v", one, got, rest, err)
		}
	}
}

func FuzzReadHistory(f *testing.F) {
	var h History
	h.Add(Limit{10, time.Minute}, noon)
	h.Add(Limit{10, time.Minute}, noon.Add(time.Second))
	f.Add(h.Append(nil))
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, rest, err := ReadHistory(b)
		if err != nil {
			return
		}
		again, _, err := ReadHistory(got.Append(nil))
		if err != nil || !slices.Equal(again.marks, got.marks) || got.Total() < got.Marks() || len(rest) > len(b) {
			t.Errorf("%q was read as %v and then as %v, %v", b, got, again, err)
		}
		if !slices.IsSortedFunc(got.marks, func(a, b mark) int { return int(a.at - b.at) }) {
			t.Errorf("%q was read out of order: %v", b, got.marks)
		}
		got.Forget(Limit{10, time.Minute}, noon)
		_ = (Limit{10, time.Minute}).Wait(noon, &got)
	})
}
