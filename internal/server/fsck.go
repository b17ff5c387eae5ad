package server

import (
	"context"
	"errors"
	"log/slog"

	"github.com/larder-registry/larder/internal/registry"
)

// Fsck checks what a server has kept that is stopped.
func Fsck(ctx context.Context, config Config, check registry.Fsck, log *slog.Logger) (err error) {
	stores, err := OpenStores(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.Close()) }()
	held := registry.New(registry.Config{DB: stores.DB, Blobs: stores.Blobs, Log: log})
	defer held.Close()
	return held.Fsck(ctx, check)
}
