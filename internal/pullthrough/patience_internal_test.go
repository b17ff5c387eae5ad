package pullthrough

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-registry/larder/internal/upstream"
)

// lister asks one cache for a list that takes a while to come.
type lister struct {
	cache *Cache
	takes time.Duration
	fails error
	runs  atomic.Int64
}

func newLister(t *testing.T, takes time.Duration, fails error) *lister {
	t.Helper()
	cache := New(Config{Title: "Docker Hub", TagTTL: time.Minute, Now: time.Now})
	t.Cleanup(cache.Close)
	return &lister{cache: cache, takes: takes, fails: fails}
}

func (l *lister) ask(ctx context.Context, held bool) (took time.Duration, joined bool, err error) {
	began, takes := time.Now(), l.takes
	_, joined, err = list(ctx, l.cache, "tags", held, func(ctx context.Context) (string, error) {
		l.runs.Add(1)
		select {
		case <-time.After(takes):
			return "the list", l.fails
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	return time.Since(began), joined, err
}

// wants asks while something is held, and fails unless it took that long, by then so
// many runs had begun, and the list came or not.
func (l *lister) wants(t *testing.T, took time.Duration, runs int64, comes bool) {
	t.Helper()
	got, _, err := l.ask(t.Context(), true)
	if begun := l.runs.Load(); got != took || begun != runs || (err == nil) != comes {
		t.Errorf("it took %s and %d runs, error %v; want %s and %d runs", got, begun, err, took, runs)
	}
}

func TestNobodyWaitsTwiceForAListThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t, time.Hour, nil)
		patience, check := l.cache.Limits.Patience, l.cache.Limits.Check
		l.wants(t, patience, 1, false)
		l.wants(t, 0, 1, false) // while it is still asked
		time.Sleep(check)
		l.wants(t, 0, 1, false)
		time.Sleep(time.Minute - check)
		l.wants(t, 0, 1, false)
		time.Sleep(check)
		l.wants(t, patience, 2, false)
	})
}

func TestALateAskerWaitsNoLongerThanTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t, time.Hour, nil)
		patience := l.cache.Limits.Patience
		var work sync.WaitGroup
		for i := range 10 {
			late := time.Duration(i) * patience / 10
			work.Go(func() {
				time.Sleep(late)
				took, joined, err := l.ask(t.Context(), true)
				if took != patience-late || joined != (i > 0) || l.cache.trouble(err) != "Docker Hub did not answer in time" {
					t.Errorf("who came %s late waited %s: joined %t, %v", late, took, joined, err)
				}
				if _, told := errors.AsType[earlier](err); told != (i > 0) {
					t.Errorf("who came %s late: the log has heard of it is %t", late, told)
				}
			})
		}
		work.Wait()
		if runs := l.runs.Load(); runs != 1 {
			t.Errorf("the upstream was asked %d times", runs)
		}
	})
}

func TestAFailedListIsRememberedWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t, time.Millisecond, &upstream.Error{Kind: upstream.PullLimit})
		l.wants(t, time.Millisecond, 1, false)
		if _, _, err := l.ask(t.Context(), true); upstream.KindOf(err) != upstream.PullLimit {
			t.Errorf("the remembered failure is %v", err)
		}
		l.wants(t, 0, 1, false)
	})
}

func TestAListThatComesInTimeIsAskedForEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t, time.Millisecond, nil)
		l.wants(t, time.Millisecond, 1, true)
		l.wants(t, time.Millisecond, 2, true)
		l.takes = time.Hour
		l.wants(t, l.cache.Limits.Patience, 3, false)
	})
}

func TestASlowUpstreamIsWaitedForOnceItIsKnownToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t, 2*time.Second, nil)
		l.wants(t, l.cache.Limits.Patience, 1, false)
		time.Sleep(l.takes) // until it has come
		l.wants(t, l.takes, 2, true)
		l.takes = time.Hour // and then it freezes
		l.wants(t, l.cache.Limits.MovePatience, 3, false)
		time.Sleep(l.cache.Limits.Check)
		l.wants(t, 0, 3, false)
	})
}

func TestWhereNothingIsHeldTheListIsWaitedForEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t, 20*time.Second, errors.New("it failed"))
		for range 2 {
			if took, _, err := l.ask(t.Context(), false); took != l.takes || !errors.Is(err, l.fails) {
				t.Errorf("it took %s: %v", took, err)
			}
		}
	})
}

func TestWhoLeavesIsNotTakenForAFailureOfTheUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLister(t, time.Millisecond, nil)
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if _, _, err := l.ask(ctx, true); !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		l.wants(t, time.Millisecond, 2, true)
	})
}
