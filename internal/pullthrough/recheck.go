package pullthrough

import (
	"context"

	"github.com/larder-registry/larder/internal/oci"
)

// Recheck asks the upstream whether a tag that is held is still so, and takes it to where it
// has moved, without anybody having asked for it; all who do meanwhile share the question.
// It asks nothing of a tag that is fresh. When it fails, everything stays as it was. The
// caller has to spare a share of the pull limit.
func (c *Cache) Recheck(ctx context.Context, caller oci.Caller, repo oci.Repository, tag string) (moved bool, err error) {
	if err := c.allowed(repo); err != nil {
		return false, err
	}
	key := tagKey{repo, tag}
	state, known, err := c.tag(ctx, key)
	if err != nil || !known || !state.held {
		return false, err
	}
	running := c.startCheck(caller, key, state)
	select {
	case <-running.done:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if running.failure != nil {
		return false, running.failure
	}
	return running.changed, running.state.cause
}
