package metadata

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// patience bounds how long a statement is tried again, and how long it waits for
	// a lock that another program holds, such as a person's database shell.
	patience = 10 * time.Second
	// firstPause and longestPause bound the pauses between tries, which double. A
	// transaction takes milliseconds, a restart of the database a second.
	firstPause   = 4 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// commitError is the error of a commit, after which it may be unknown whether the
// change was made.
type commitError struct{ err error }

func (e *commitError) Error() string { return "committing: " + e.err.Error() }

func (e *commitError) Unwrap() error { return e.err }

// retry runs fn until it succeeds, or fails with an error that is no reason to try
// again, or patience or the context has run out. A failed fn must have changed
// nothing.
func (s *store) retry(ctx context.Context, fn func() error) error {
	err := fn()
	if err == nil || ctx.Err() != nil || !s.transient(err) {
		return err
	}
	giveUp := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		// What collided would collide again if it waited for the same time.
		if ended := sleep.About(ctx, pause); ended != nil {
			return fmt.Errorf("%w, while trying again after: %w", ended, err)
		}
		if err = fn(); err == nil || ctx.Err() != nil || !s.transient(err) {
			return err
		}
		if time.Now().After(giveUp) {
			return fmt.Errorf("trying again for %s: %w", patience, err)
		}
	}
}

// ask runs a query until it is answered; fn may run several times. A query for
// what the database cannot hold is answered with sql.ErrNoRows.
func ask[T any](ctx context.Context, s *store, fn func() (T, error)) (T, error) {
	var answer T
	err := s.retry(ctx, func() error {
		var err error
		answer, err = fn()
		return err
	})
	if err != nil && s.neverHeld(err) {
		err = sql.ErrNoRows
	}
	return answer, err
}
