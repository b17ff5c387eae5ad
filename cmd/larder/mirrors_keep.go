package main

import (
	"context"
	"log/slog"
	"path"
	"time"

	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/nodefiles"
)

// keepAgain is how often a node's files are looked at.
const keepAgain = 30 * time.Second

// keep has containerd's files in place until it is told to end, and removes them then.
func (m mirrorsCommand) keep(ctx context.Context, files []mirror.File) error {
	if m.client != "containerd" || m.to == "" {
		return usagef("--keep takes --for containerd and --to: other clients read their files only when they start")
	}
	return runUntilSignalled(ctx, func(ctx context.Context, log *slog.Logger) error {
		return keepUntilTheEnd(ctx, nodefiles.Keeper{Root: m.to, Files: files}, log)
	})
}

func keepUntilTheEnd(ctx context.Context, keeper nodefiles.Keeper, log *slog.Logger) error {
	folder := path.Dir(path.Dir(keeper.Files[0].Path))
	ticker := time.NewTicker(keepAgain)
	defer ticker.Stop()
	for said := (kept{}); ; {
		said = keepOnce(keeper, folder, said, log)
		select {
		case <-ticker.C:
			continue
		case <-ctx.Done():
		}
		removed, err := keeper.Remove()
		log.Info("the files of the mirrors are removed", "files", removed)
		return err
	}
}

// kept is what the log says of a node; it is said again only when it is another.
type kept struct {
	verdict      nodefiles.Verdict
	why, trouble string
}

func keepOnce(keeper nodefiles.Keeper, folder string, said kept, log *slog.Logger) kept {
	changed, err := keeper.Keep()
	if len(changed) > 0 {
		log.Info("files of the mirrors are written or removed", "files", changed)
	}
	now := kept{}
	if err != nil {
		now.trouble = err.Error()
		if now.trouble != said.trouble {
			log.Warn("some files of the mirrors are not in place", "error", err)
		}
	}
	if now.verdict, now.why = nodefiles.ReadByContainerd(keeper.Root, folder); now.verdict != said.verdict || now.why != said.why {
		level := slog.LevelWarn
		if now.verdict == nodefiles.Reads {
			level = slog.LevelInfo
		}
		log.Log(context.Background(), level, "whether containerd reads them", "reads", now.verdict, "why", now.why)
	}
	return now
}
