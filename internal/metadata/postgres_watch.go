package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// The channels of PostgreSQL on which processes tell each other.
	changesChannel = "larder_changes"
	hintsChannel   = "larder_hints"

	// heartbeat is how long a silent connection is trusted, and heartbeatLimit how long
	// its answer may take. Together they stay below the second within which every
	// process sees what another has changed.
	heartbeat      = 300 * time.Millisecond
	heartbeatLimit = 500 * time.Millisecond
	// firstListenPause and longestListenPause bound the pauses between attempts to
	// listen again, which double.
	firstListenPause   = 20 * time.Millisecond
	longestListenPause = time.Second
)

// watcher hears what other processes change, on a connection of its own.
type watcher struct {
	config  *pgx.ConnConfig
	process string
	changes *Changes
	hint    func(string) // nil: hints are not heard
	log     *slog.Logger
}

// run listens until ctx ends.
func (w *watcher) run(ctx context.Context) {
	for pause := firstListenPause; ctx.Err() == nil; pause = min(2*pause, longestListenPause) {
		heard, err := w.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if heard || pause == firstListenPause { // once, until it has worked again
			w.log.Warn("what other replicas change is not heard; until it is, nothing is served from memory", "error", err)
		}
		if heard {
			pause = firstListenPause
		}
		_ = sleep.About(ctx, pause) // the loop looks whether ctx has ended
	}
}

// listen hears changes until its connection is lost. heard tells whether it could.
func (w *watcher) listen(ctx context.Context) (heard bool, err error) {
	config := w.config.Copy()
	config.RuntimeParams["application_name"] += " (changes)" // people find it among the others
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, fmt.Errorf("connecting: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), heartbeatLimit)
		defer cancel()
		_ = conn.Close(closing) // nothing is lost with it
	}()
	listen := "LISTEN " + changesChannel
	if w.hint != nil {
		listen += "; LISTEN " + hintsChannel
	}
	if _, err := conn.Exec(ctx, listen); err != nil {
		return false, fmt.Errorf("listening: %w", err)
	}
	w.changes.hear()
	defer w.changes.deafen()
	for {
		if err := w.next(ctx, conn); err != nil {
			return true, err
		}
	}
}

// next waits for one announcement, or finds out that the connection still works.
func (w *watcher) next(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	heard, err := conn.WaitForNotification(waiting)
	if err == nil {
		w.heard(heard)
		return nil
	}
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("waiting for changes: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, heartbeatLimit)
	defer cancel()
	if err := conn.Ping(limited); err != nil {
		return fmt.Errorf("seeing whether the database still answers: %w", err)
	}
	return nil
}

// heard takes in what another process has told.
func (w *watcher) heard(n *pgconn.Notification) {
	process, text := signer(n.Payload)
	switch {
	case process == w.process:
	case n.Channel == hintsChannel:
		w.hint(text)
	default:
		w.changes.apply(announcement{repository: text})
	}
}
