package gc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// Grace is the least age of what is removed: a client that was told that a blob is
	// there has that long to push a manifest with it.
	Grace = 24 * time.Hour
	// Lease is the name of the lease that is held while anything is deleted. Whoever
	// holds it, such as a backup, can rely on what is stored staying.
	Lease = "collect"
	// backupHolder begins the name of a holder of it that is a backup.
	backupHolder = "backup-"
	// leaseLife is how long a collector that has died keeps others from collecting.
	leaseLife = time.Minute
)

// BackupLease is the lease that a backup holds: no bytes are removed meanwhile, by
// whomever.
func BackupLease() metadata.Lease {
	return metadata.Lease{Name: Lease, Holder: backupHolder + rand.Text()}
}

// ErrBusy says that nothing was collected: a backup, or a collector of this process or
// another, is at work.
var ErrBusy = errors.New("a backup or another collection is running")

// Collector finds what nothing refers to, and removes it.
type Collector struct {
	*Sweeper
	// Now is the clock.
	Now     func() time.Time
	Metrics *Metrics
}

// Options say what one run does.
type Options struct {
	// KeepYoungerThan lengthens the Grace; a shorter time means the Grace.
	KeepYoungerThan time.Duration
	// Each is told of what was removed, or would be; its error ends the run. It may be nil.
	Each func(Item) error
}

// Preview tells what Collect would remove now, and removes nothing.
func (c *Collector) Preview(ctx context.Context, o Options) (Summary, error) {
	return c.newPass(o, false).run(ctx)
}

// Collect removes what nothing refers to any more, and tells how much. It reads
// everything once before it deletes anything, so that what cannot be read is found
// before harm is done; any error ends the run. ErrBusy is in the chain when somebody
// else holds the lease.
func (c *Collector) Collect(ctx context.Context, o Options) (Summary, error) {
	var removed Summary
	lease := metadata.Lease{Name: Lease, Holder: rand.Text()}
	err := c.DB.Leases.Hold(ctx, lease, leaseLife, func(ctx context.Context) error {
		err := c.ours(ctx)
		if err == nil {
			_, err = c.Preview(ctx, Options{KeepYoungerThan: o.KeepYoungerThan})
		}
		if err != nil {
			return fmt.Errorf("nothing was removed: %w", err)
		}
		removed, err = c.newPass(o, true).run(ctx)
		return err
	})
	if errors.Is(err, metadata.ErrLeased) {
		return Summary{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	c.Metrics.ended(removed, err)
	if err != nil {
		return removed, fmt.Errorf("collecting what nothing refers to: %w", err)
	}
	return removed, nil
}
