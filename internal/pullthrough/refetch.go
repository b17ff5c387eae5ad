package pullthrough

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// Refetch brings a blob that is not held any more, as when it was damaged, without
// anybody having asked for it, and returns once it is stored. Any project's own credential
// may be used that the repository was shown to: who may read the blob is not changed.
func (c *Cache) Refetch(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	if err := c.allowed(repo); err != nil {
		return err
	}
	if _, err := c.showings(ctx, repo); err != nil { // asker goes by what is in memory
		return err
	}
	caller, from := oci.Caller{User: oci.UserSelf, Project: c.Project, Projects: c.Lenders()}, source{c, repo}
	running, began, err := c.Fills.joinOrBegin(caller, d, from)
	if err != nil {
		return err
	}
	defer running.release()
	if began {
		running.arrived() // nobody reads it
	}
	if !running.shownTo(from) {
		if _, err := c.confirmBlob(ctx, caller, repo, d); err != nil {
			return err
		}
		running.link(from)
	}
	select {
	case <-running.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return running.outcome()
}

// outcome is nil when the blob has come to be held. The fill has ended.
func (f *fill) outcome() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.stored || errors.Is(f.err, errHeld):
		return nil
	case f.err != nil:
		return fmt.Errorf("fetching blob %s: %w", f.digest, f.err)
	}
	return fmt.Errorf("blob %s was fetched and could not be kept: the log tells why", f.digest)
}
