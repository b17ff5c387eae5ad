package pullthrough

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// errPatience is the cause of a stale answer while the check itself still runs.
var errPatience = fmt.Errorf("the check had not ended when its callers lost patience: %w", context.DeadlineExceeded)

// checks holds the freshness checks that are under way, one for each tag.
type checks struct {
	mu      sync.Mutex
	running map[tagKey]*check
}

// check is one question to the upstream: does this tag still have the digest that
// is held? All who ask meanwhile wait for the same answer.
type check struct {
	from  tagState      // what was known when it began, in trouble once a caller gave up
	moved chan struct{} // closed once the upstream answered that the tag moved
	done  chan struct{} // closed at the end; state and changed are set
	state tagState
	// changed is true when the tag moved and the new manifest is held.
	changed bool
	// failure is why one came to nothing that nobody waited for when it began: it tells
	// nothing to those who have joined it.
	failure error
}

// refresh asks whether a tag past its TTL is still what is held. It waits no
// longer than the caller's patience; then, and when the check fails, the state that
// it returns is in trouble and the held copy is to be served as stale.
func (c *Cache) refresh(ctx context.Context, caller oci.Caller, key tagKey, state tagState) (now tagState, changed bool) {
	running := c.startCheck(caller, key, state)
	patience := time.NewTimer(c.Limits.Patience)
	defer patience.Stop()
	moved := running.moved
	for {
		select {
		case <-running.done:
			if running.failure == nil {
				return running.state, running.changed
			}
			running = c.startCheck(caller, key, state)
			moved = running.moved
		case <-moved:
			moved = nil
			patience.Reset(c.Limits.MovePatience)
		case <-patience.C:
			return c.giveUp(running, key)
		case <-ctx.Done():
			return state, false
		}
	}
}

// due tells whether the upstream is to be asked again for a caller. That pulls were held
// back from somebody else does not keep those waiting whom they are set aside for.
func (c *Cache) due(state tagState, caller oci.Caller) bool {
	return state.due(c.Now(), c.TagTTL) || len(caller.Shares) > 0 && heldFromOther(state.cause, caller)
}

// startCheck finds the check that is running, or the answer of one that has ended
// since the caller read the tag's state, or begins one, for which the caller pays.
func (c *Cache) startCheck(caller oci.Caller, key tagKey, state tagState) *check {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	if running, ok := c.checks.running[key]; ok {
		return running
	}
	if last, ok := c.tags.get(key); ok && last.held {
		state = last
	}
	started := &check{from: state, moved: make(chan struct{}), done: make(chan struct{})}
	if !c.due(state, caller) || c.life.Err() != nil {
		started.state = state
		close(started.done)
		return started
	}
	c.checks.running[key] = started
	c.work.Go(func() {
		ctx, cancel := context.WithTimeout(c.life, c.Limits.Check)
		defer cancel()
		next, trouble, err := c.runCheck(ctx, caller, key, state, started.moved)
		c.checks.mu.Lock()
		switch {
		case err != nil && caller.Spares > 0:
			next, started.failure = started.from, err
		case err != nil:
			next = c.failed(key, started.from, trouble, err)
		}
		started.state, started.changed = next, next.Digest != state.Digest
		c.tags.set(key, started.state)
		delete(c.checks.running, key)
		c.checks.mu.Unlock()
		close(started.done)
	})
	return started
}

// giveUp counts a check that is still running as failed, so that later callers do
// not wait for it in their turn; its answer will count when it comes.
func (c *Cache) giveUp(running *check, key tagKey) (tagState, bool) {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	if c.checks.running[key] != running {
		return running.state, running.changed
	}
	running.from = c.failed(key, running.from, c.Title+" did not answer in time", errPatience)
	c.tags.set(key, running.from)
	return running.from, false
}

// runCheck asks, and follows the tag when it moved. Trouble is the error for callers.
func (c *Cache) runCheck(ctx context.Context, caller oci.Caller, key tagKey, state tagState, moved chan<- struct{}) (next tagState, trouble string, err error) {
	head, err := c.statUpstream(ctx, caller, key.repository, key.tag)
	if err != nil {
		c.noteVanished(ctx, key, err)
		return tagState{}, c.trouble(err), err
	}
	if head.Digest == state.Digest {
		return c.confirmed(ctx, key, state), "", nil
	}
	close(moved)
	next, err = c.move(ctx, caller, key, state, head)
	if err != nil {
		return tagState{}, "the tag moved, but its new image could not be fetched: " + c.trouble(err), err
	}
	return next, "", nil
}

// noteVanished marks a tag that the upstream no longer has, so that it is not evicted: it
// could not be fetched again. Docker Hub denies what is gone as it denies what is private;
// what everybody could see before counts as gone.
func (c *Cache) noteVanished(ctx context.Context, key tagKey, err error) {
	kind := upstream.KindOf(err)
	if kind != upstream.NotFound && (kind != upstream.Denied || !c.KnownPublic(ctx, key.repository)) {
		return
	}
	if err := c.DB.Tags.Vanished(ctx, string(key.repository), key.tag, c.Now()); err != nil {
		c.Log.Warn("that a tag is gone upstream was not kept", "tag", key.String(), "error", err)
	}
}

// statUpstream HEADs a manifest, which Docker Hub does not count.
func (c *Cache) statUpstream(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string) (oci.Descriptor, error) {
	head, err := c.Upstream.StatManifest(ctx, c.asker(caller, repo), repo.Rest(), ref)
	if err != nil {
		return oci.Descriptor{}, err
	}
	c.noteAnonymousSuccess(ctx, repo)
	return head, nil
}

// move takes a tag to where the upstream moved it. It is announced only once its
// manifest, and those of the platforms that were pulled from the old index, are
// held, so that whoever HEADs now and GETs next never falls between.
func (c *Cache) move(ctx context.Context, caller oci.Caller, key tagKey, old tagState, head oci.Descriptor) (tagState, error) {
	ref := oci.Reference{Digest: head.Digest}
	if head.Digest == "" {
		ref = oci.Reference{Tag: key.tag}
	}
	manifest, err := c.fetch(ctx, caller, key.repository, ref)
	if err != nil {
		return tagState{}, err
	}
	if manifest.Digest == old.Digest {
		return c.confirmed(ctx, key, old), nil
	}
	if err := c.fetchPlatforms(ctx, caller, key.repository, old.Digest, manifest); err != nil {
		return tagState{}, fmt.Errorf("fetching the platforms of %s: %w", manifest.Digest, err)
	}
	return c.setTag(ctx, key, manifest, old.asOf)
}

// setTag points a tag to a manifest that is held.
func (c *Cache) setTag(ctx context.Context, key tagKey, manifest oci.Manifest, asOf moment) (tagState, error) {
	now := c.Now()
	err := c.Fills.retried(ctx, rowRoom, func() error {
		return c.DB.Tags.Set(ctx, string(key.repository), key.tag, manifest.Digest, now, c.Project)
	})
	if err != nil {
		return tagState{}, fmt.Errorf("moving tag %s: %w", key, err)
	}
	return tagState{Descriptor: manifest.Descriptor(), held: true, checkedAt: now, triedAt: now, asOf: asOf}, nil
}
