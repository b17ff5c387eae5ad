package sleep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-registry/larder/internal/sleep"
)

func TestASleepIsAsLongAsItWasToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := sleep.For(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("it took %s, %v", time.Since(began), err)
		}
		for range 100 {
			began := time.Now()
			err := sleep.About(t.Context(), time.Minute)
			if took := time.Since(began); err != nil || took < 30*time.Second || took >= 90*time.Second {
				t.Errorf("about a minute took %s, %v", took, err)
			}
		}
		for range 100 {
			began := time.Now()
			err := sleep.UpTo(t.Context(), time.Minute)
			if took := time.Since(began); err != nil || took < 30*time.Second || took > time.Minute {
				t.Errorf("up to a minute took %s, %v", took, err)
			}
		}
		if err := errors.Join(sleep.About(t.Context(), 0), sleep.UpTo(t.Context(), 0)); err != nil {
			t.Error(err)
		}
	})
}

func TestASleepEndsWithItsContext(t *testing.T) {
	because := errors.New("the server stops")
	ctx, end := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { end(because) })
	if err := sleep.For(ctx, time.Hour); !errors.Is(err, because) {
		t.Errorf("it ended by %v", err)
	}
	for range 100 {
		if err := sleep.For(ctx, 0); !errors.Is(err, because) {
			t.Fatalf("no time at all ended by %v", err)
		}
	}
}
