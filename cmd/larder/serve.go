package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/telemetry"
)

func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the registry and cache",
		Long: `Run the registry and cache. Without any flag it listens on 127.0.0.1:5000, keeps
everything under ./larder-data, and mirrors Docker Hub as docker-hub/:

  docker pull localhost:5000/docker-hub/library/nginx

SIGTERM ends it after the transfers under way; SIGHUP reads configuration and
certificates again.`,
		Args: usageArgs(cobra.NoArgs),
	}
	flags := server.BindFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return serve(cmd, flags) }
	return cmd
}

func serve(cmd *cobra.Command, flags *server.Flags) error {
	// SIGHUP ends a program that does not ask for it. Larder asks from the first moment, since
	// a start may take long, until its last transfer has ended.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	outliveReaders()

	load := func() (server.Config, error) { return server.Load(flags, os.LookupEnv, server.ReadFile) }
	config, err := load()
	if err != nil {
		return &usageError{err}
	}
	var level slog.LevelVar
	level.Set(config.Log.Level)
	log, flush := telemetry.NewLogger(os.Stderr, &level, logFormat(config.Log.Format))
	defer flush()

	ctx, stop := untilSignalled(cmd.Context())
	defer stop()
	running, err := server.New(ctx, config, server.Options{
		Version:       version,
		Commit:        commit,
		AdminPassword: os.Getenv("LARDER_ADMIN_PASSWORD"),
		Log:           log,
		LogLevel:      &level,
		Notices:       patient{cmd.ErrOrStderr()},
	})
	if err != nil {
		return err
	}
	reloaded := make(chan struct{})
	go func() {
		defer close(reloaded)
		reloadOnHangup(ctx, hangup, running, load, log)
	}()
	err = running.Run(ctx)
	stop()
	<-reloaded
	return err
}

// reloadOnHangup applies a new configuration at each SIGHUP; one that is wrong
// leaves the old one in force.
func reloadOnHangup(ctx context.Context, hangup <-chan os.Signal, running *server.Server, load func() (server.Config, error), log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			config, err := load()
			if err == nil {
				err = running.Reload(config)
			}
			if err != nil {
				log.Error("the configuration was not reloaded and stays as it was", "error", err)
			}
		}
	}
}

func logFormat(given string) string {
	switch {
	case given != "":
		return given
	case term.IsTerminal(int(os.Stderr.Fd())):
		return "text"
	}
	return "json"
}
