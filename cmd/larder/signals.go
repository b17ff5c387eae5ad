package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/larder-registry/larder/internal/telemetry"
)

// runUntilSignalled runs a command that goes on until it is told to end, and logs to standard error
// meanwhile.
func runUntilSignalled(ctx context.Context, run func(ctx context.Context, log *slog.Logger) error) error {
	log, flush := telemetry.NewLogger(os.Stderr, new(slog.LevelVar), logFormat(""))
	defer flush()
	outliveReaders()
	ctx, stop := untilSignalled(ctx)
	defer stop()
	return run(ctx, log)
}

// untilSignalled is a context that SIGINT and SIGTERM end. A second signal ends the program
// at once.
func untilSignalled(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
