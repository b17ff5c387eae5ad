package imports

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// Every is how long a source that is followed is not asked again.
	Every = 15 * time.Minute
	// pause is how often it is looked whether one is due, batch how many are taken then,
	// atOnce how many of them are under way.
	pause  = time.Minute
	batch  = 200
	atOnce = 2
)

// Run follows the sources of scheduled imports until ctx ends.
func (i *Importer) Run(ctx context.Context) {
	tick := time.NewTicker(i.Pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := i.Follow(ctx); err != nil && ctx.Err() == nil {
			i.Log.Error("looking for imports that are due", "error", err)
		}
	}
}

// Follow tries the imports that are due once.
func (i *Importer) Follow(ctx context.Context) error {
	due, err := i.Imports.Due(ctx, i.Now().Add(-Every), batch)
	if err != nil {
		return err
	}
	var following errgroup.Group
	following.SetLimit(atOnce)
	for _, row := range due {
		following.Go(func() error {
			err := i.alone(ctx, row, func(ctx context.Context) error { return i.followOne(ctx, row) })
			if err != nil && !errors.Is(err, ErrBusy) && ctx.Err() == nil {
				i.Log.Error("following the source of a tag", "repository", row.Repository, "tag", row.Tag, "error", err)
			}
			return nil
		})
	}
	return following.Wait()
}

// followOne looks again, since another replica may have just tried the same import.
func (i *Importer) followOne(ctx context.Context, row metadata.Import) error {
	all, err := i.Imports.Of(ctx, row.Repository)
	if err != nil {
		return err
	}
	for _, now := range all {
		if now.Tag == row.Tag && now.Scheduled && now.CheckedAt.Equal(row.CheckedAt) {
			_, err := i.try(ctx, now, false)
			return err
		}
	}
	return nil
}
