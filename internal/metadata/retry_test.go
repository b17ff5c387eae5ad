package metadata

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errPassing = errors.New("passing")

func retrying() *store {
	return &store{dialect: dialect{
		transient: func(err error) bool { return errors.Is(err, errPassing) },
		neverHeld: func(error) bool { return false },
	}}
}

func TestPatienceRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, tries := time.Now(), 0
		_, err := ask(t.Context(), retrying(), func() (int, error) { tries++; return 0, errPassing })
		if !errors.Is(err, errPassing) {
			t.Errorf("got the error %v", err)
		}
		if took := time.Since(start); took < patience || took > patience+2*longestPause {
			t.Errorf("it took %s", took)
		}
		if tries < 10 || tries > 100 {
			t.Errorf("there were %d tries", tries)
		}
	})
}

func TestWhatPassesIsMadeGoodAndWhatDoesNotIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := []error{errPassing, errPassing, nil, sql.ErrConnDone}
		next := func() (int, error) {
			err := errs[0]
			errs = errs[1:]
			return len(errs), err
		}
		if got, err := ask(t.Context(), retrying(), next); got != 1 || err != nil {
			t.Errorf("got %d, %v after errors that pass", got, err)
		}
		start := time.Now()
		if _, err := ask(t.Context(), retrying(), next); !errors.Is(err, sql.ErrConnDone) || time.Since(start) != 0 {
			t.Errorf("got the error %v after %s", err, time.Since(start))
		}
	})
}

func TestNothingIsTriedAgainForACallerWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := ask(ctx, retrying(), func() (int, error) { return 0, errPassing })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errPassing) || time.Since(start) != time.Second {
			t.Errorf("got the error %v after %s", err, time.Since(start))
		}
	})
}
