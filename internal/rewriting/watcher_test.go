package rewriting_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/rewriting"
	"github.com/larder-registry/larder/internal/testkit"
)

// remembered is a switch that a test reads and turns, too.
type remembered struct {
	says  atomic.Value
	fails atomic.Bool
}

func (r *remembered) Turn(_ context.Context, from, to string) (bool, error) {
	if r.fails.Load() {
		return false, errors.New("the API server is away")
	}
	return r.says.CompareAndSwap(from, to), nil
}

// watched runs a watcher for a test; wait lets time pass.
func watched(t *testing.T, do func(set *remembered, ready *atomic.Bool, log *testkit.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		set, ready, log := new(remembered), new(atomic.Bool), new(testkit.Buffer)
		set.says.Store(mirror.On)
		ready.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		w := rewriting.Watcher{
			Switch: set, Every: 5 * time.Second, OffAfter: 30 * time.Second, OnAfter: 10 * time.Second,
			Log: slog.New(slog.NewTextHandler(log, nil)),
			Ready: func(context.Context) error {
				if !ready.Load() {
					return errors.New("connection refused")
				}
				return nil
			},
		}
		go func() {
			defer close(ended)
			w.Run(ctx)
		}()
		do(set, ready, log)
		cancel()
		<-ended
	})
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestThePolicyIsOffWhileLarderIsUnreadyAndOnAgainAfterwards(t *testing.T) {
	watched(t, func(set *remembered, ready *atomic.Bool, _ *testkit.Buffer) {
		says := func(want, when string) {
			t.Helper()
			if got := set.says.Load(); got != want {
				t.Errorf("%s it says %v, want %s", when, got, want)
			}
		}
		wait(time.Second) // looks come at 5, 10, ... seconds
		ready.Store(false)
		wait(33 * time.Second)
		says(mirror.On, "before it was unready for 30 seconds")
		wait(3 * time.Second)
		says(mirror.Unready, "after it was unready for 30 seconds")
		ready.Store(true)
		wait(12 * time.Second)
		says(mirror.Unready, "before it was ready for 10 seconds")
		wait(4 * time.Second)
		says(mirror.On, "after it was ready for 10 seconds")
	})
}

func TestShortPausesDoNotTurnThePolicyOff(t *testing.T) {
	watched(t, func(set *remembered, ready *atomic.Bool, _ *testkit.Buffer) {
		for range 10 {
			ready.Store(false)
			wait(25 * time.Second)
			ready.Store(true)
			wait(5 * time.Second)
		}
		if got := set.says.Load(); got != mirror.On {
			t.Errorf("it says %v", got)
		}
	})
}

func TestWhatSomebodyTurnedOffStaysOff(t *testing.T) {
	watched(t, func(set *remembered, ready *atomic.Bool, _ *testkit.Buffer) {
		set.says.Store(mirror.Off)
		for _, is := range []bool{true, false, true} {
			ready.Store(is)
			wait(5 * time.Minute)
			if got := set.says.Load(); got != mirror.Off {
				t.Errorf("it says %v", got)
			}
		}
		// Also where the watcher was first.
		set.says.Store(mirror.On)
		ready.Store(false)
		wait(time.Minute)
		set.says.Store(mirror.Off)
		ready.Store(true)
		wait(time.Minute)
		if got := set.says.Load(); got != mirror.Off {
			t.Errorf("what the watcher and then somebody turned off says %v", got)
		}
	})
}

func TestAWatcherThatCannotTurnThePolicyTriesAgainAndSaysSoOnce(t *testing.T) {
	watched(t, func(set *remembered, ready *atomic.Bool, log *testkit.Buffer) {
		set.fails.Store(true)
		ready.Store(false)
		wait(10 * time.Minute)
		if said := strings.Count(log.String(), "the API server is away"); said != 1 {
			t.Errorf("it says %d times that it cannot", said)
		}
		set.fails.Store(false)
		wait(6 * time.Second)
		if got := set.says.Load(); got != mirror.Unready {
			t.Errorf("it says %v", got)
		}
	})
}
