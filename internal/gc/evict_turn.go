package gc

import (
	"context"
	"errors"
	"strings"

	"github.com/larder-registry/larder/internal/metadata"
)

// evictLease is held by the process that evicts. At Lease, which a backup holds so that
// all bytes stay in their places, an evictor only looks, before each image: the two
// cannot wait for each other. What one more image takes with it is cached, and a
// restore finds that it has to be fetched anew.
const evictLease = "evict"

// errNoTurn says that others evict, or that nobody may.
var errNoTurn = errors.New("nothing may be evicted now")

// exclusively runs fn while nobody else evicts, here or in another process, and nobody
// needs all bytes to stay.
func (e *Evictor) exclusively(ctx context.Context, fn func(context.Context) error) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return errNoTurn
	}
	defer func() { <-e.turn }()
	ran := false
	err := e.DB.Leases.Hold(ctx, metadata.Lease{Name: evictLease, Holder: e.Holder}, leaseLife, func(ctx context.Context) error {
		ran = true
		return fn(ctx)
	})
	switch {
	case errors.Is(err, metadata.ErrLeased):
		return errNoTurn
	case full(err) && !ran: // not even the lease can be written: two that evict at once do no harm
		return fn(ctx)
	}
	return err
}

// heldOff is errNoTurn while a backup needs all bytes to stay where they are. A collector
// and retention hold the same lease and are not waited for: whatever they remove, they
// look at again.
func (e *Evictor) heldOff(ctx context.Context) error {
	held, err := e.DB.Leases.Get(ctx, Lease)
	switch {
	case errors.Is(err, metadata.ErrNotFound):
		return nil
	case err != nil:
		return err
	case strings.HasPrefix(held.Holder, backupHolder):
		return errNoTurn
	}
	return nil
}
