package batch_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/batch"
	"github.com/larder-registry/larder/internal/testkit"
)

// shelf is where numbers are written to.
type shelf struct {
	mu     sync.Mutex
	writes [][]int
	broken error
}

func (s *shelf) write(_ context.Context, some []int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	s.writes = append(s.writes, slices.Clone(some))
	return nil
}

func (s *shelf) holds(t *testing.T, want ...[]int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.writes); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func (s *shelf) breaks(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

func config(s *shelf, log *testkit.Buffer, dropped *int) batch.Config[int] {
	return batch.Config[int]{
		What: "the numbers", Write: s.write, Every: 2 * time.Second, Most: 5, AtOnce: 2,
		Dropped: func(count int) { *dropped += count }, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

func puts(w *batch.Writer[int], numbers ...int) (taken int) {
	for _, n := range numbers {
		if w.Put(n) {
			taken++
		}
	}
	return taken
}

func TestWhatIsHandedOverIsWrittenSoonAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log, dropped := &shelf{}, &testkit.Buffer{}, 0
		w := batch.New(config(s, log, &dropped))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		puts(w, 1, 2, 3)
		s.holds(t)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.holds(t, []int{1, 2}, []int{3})
		time.Sleep(time.Minute)
		synctest.Wait()
		s.holds(t, []int{1, 2}, []int{3}) // nothing is written when there is nothing to write
		stop()
		running.Wait()
		puts(w, 4)
		w.Close()
		s.holds(t, []int{1, 2}, []int{3}, []int{4})
	})
}

func TestWhoHandsOverTooMuchIsToldAndNotHeldUp(t *testing.T) {
	s, log, dropped := &shelf{}, &testkit.Buffer{}, 0
	w := batch.New(config(s, log, &dropped))
	if taken := puts(w, 1, 2, 3, 4, 5, 6, 7); taken != 5 || dropped != 2 {
		t.Errorf("%d were taken, %d dropped", taken, dropped)
	}
	w.Close()
	s.holds(t, []int{1, 2}, []int{3, 4}, []int{5})
}

func TestWhatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log, dropped := &shelf{broken: errors.New("the disk is full")}, &testkit.Buffer{}, 0
		w := batch.New(config(s, log, &dropped))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		puts(w, 1, 2, 3)
		time.Sleep(7 * time.Second)
		synctest.Wait()
		if got := strings.Count(log.String(), "the numbers could not be written"); got != 1 {
			t.Errorf("the log heard of it %d times:\n%s", got, log)
		}
		puts(w, 4, 5, 6) // the last of which is one too many
		s.breaks(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.holds(t, []int{1, 2}, []int{3, 4}, []int{5})
		stop()
		running.Wait()
		s.breaks(errors.New("the disk is full"))
		puts(w, 7)
		w.Close()
		if !strings.Contains(log.String(), "the numbers of the last seconds are lost") {
			t.Errorf("nobody heard of the loss:\n%s", log)
		}
		if dropped != 1 {
			t.Errorf("%d are counted as dropped", dropped)
		}
	})
}

func TestWhatComesWhileAWriteFailsStaysBehindWhatWasThere(t *testing.T) {
	s, log, dropped := &shelf{}, &testkit.Buffer{}, 0
	c := config(s, log, &dropped)
	var w *batch.Writer[int]
	meddled := false
	c.Write = func(ctx context.Context, some []int) error {
		if !meddled {
			meddled = true
			puts(w, 4, 5, 6, 7)
			return errors.New("not now")
		}
		return s.write(ctx, some)
	}
	w = batch.New(c)
	puts(w, 1, 2, 3)
	if err := w.Flush(t.Context()); err == nil {
		t.Error("the write did not fail")
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	s.holds(t, []int{1, 2}, []int{3, 4}, []int{5})
	if dropped != 2 {
		t.Errorf("%d were dropped", dropped)
	}
}
