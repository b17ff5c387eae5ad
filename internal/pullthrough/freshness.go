package pullthrough

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// checks holds the freshness checks that are under way, one for each tag.
type checks struct {
	mu      sync.Mutex
	running map[tagKey]*check
}

// check is one question to the upstream: does this tag still have the digest that
// is held? All who ask meanwhile wait for the same answer.
type check struct {
	moved chan struct{} // closed once the upstream answered that the tag moved
	done  chan struct{} // closed at the end; state and changed are set
	state tagState
	// changed is true when the tag moved and the new manifest is held.
	changed bool
}

// refresh asks whether a tag past its TTL is still what is held. It waits no
// longer than the caller's patience; then, and when the check fails, the state that
// it returns is in trouble and the held copy is to be served as stale.
func (c *Cache) refresh(ctx context.Context, key tagKey, state tagState) (now tagState, changed bool) {
	running := c.startCheck(key, state)
	patience := time.NewTimer(c.Limits.Patience)
	defer patience.Stop()
	moved := running.moved
	for {
		select {
		case <-running.done:
			return running.state, running.changed
		case <-moved:
			moved = nil
			patience.Reset(c.Limits.MovePatience)
		case <-patience.C:
			return c.giveUp(running, key, state)
		case <-ctx.Done():
			return state, false
		}
	}
}

func (c *Cache) startCheck(key tagKey, state tagState) *check {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	if running, ok := c.checks.running[key]; ok {
		return running
	}
	started := &check{moved: make(chan struct{}), done: make(chan struct{})}
	c.checks.running[key] = started
	c.work.Go(func() {
		ctx, cancel := context.WithTimeout(c.life, c.Limits.Check)
		defer cancel()
		started.state, started.changed = c.runCheck(ctx, key, state, started.moved)
		c.checks.mu.Lock()
		c.tags.Set(key, started.state)
		delete(c.checks.running, key)
		c.checks.mu.Unlock()
		close(started.done)
	})
	return started
}

// giveUp counts a check that is still running as failed, so that later callers do
// not wait for it in their turn; its answer will count when it comes.
func (c *Cache) giveUp(running *check, key tagKey, state tagState) (tagState, bool) {
	c.checks.mu.Lock()
	defer c.checks.mu.Unlock()
	if c.checks.running[key] != running {
		return running.state, running.changed
	}
	state = c.failed(key, state, c.Title+" did not answer in time")
	c.tags.Set(key, state)
	return state, false
}

func (c *Cache) runCheck(ctx context.Context, key tagKey, state tagState, moved chan<- struct{}) (tagState, bool) {
	head, err := c.statUpstream(ctx, key.repository, key.tag)
	if err != nil {
		return c.failed(key, state, c.trouble(err)), false
	}
	if head.Digest == state.Digest {
		return c.confirmed(ctx, key, state), false
	}
	close(moved)
	next, err := c.move(ctx, key, state, head)
	if err != nil {
		return c.failed(key, state, "the tag moved, but its new image could not be fetched: "+c.trouble(err)), false
	}
	return next, true
}

// statUpstream HEADs a manifest, which Docker Hub does not count.
func (c *Cache) statUpstream(ctx context.Context, repo oci.Repository, ref string) (oci.Descriptor, error) {
	head, err := c.Upstream.StatManifest(ctx, upstream.Any, repo.Rest(), ref)
	if err != nil {
		return oci.Descriptor{}, err
	}
	c.noteAnonymousSuccess(ctx, repo)
	return head, nil
}

// move takes a tag to where the upstream moved it. It is announced only once its
// manifest, and those of the platforms that were pulled from the old index, are
// held, so that whoever HEADs now and GETs next never falls between.
func (c *Cache) move(ctx context.Context, key tagKey, old tagState, head oci.Descriptor) (tagState, error) {
	ref := oci.Reference{Digest: head.Digest}
	if head.Digest == "" {
		ref = oci.Reference{Tag: key.tag}
	}
	manifest, err := c.fetch(ctx, key.repository, ref)
	if err != nil {
		return tagState{}, err
	}
	if manifest.Digest == old.Digest {
		return c.confirmed(ctx, key, old), nil
	}
	if old.held {
		if err := c.fetchPlatforms(ctx, key.repository, old.Digest, manifest); err != nil {
			return tagState{}, fmt.Errorf("fetching the platforms of %s: %w", manifest.Digest, err)
		}
	}
	return c.setTag(ctx, key, manifest)
}

// setTag points a tag to a manifest that is held.
func (c *Cache) setTag(ctx context.Context, key tagKey, manifest oci.Manifest) (tagState, error) {
	now := c.Now()
	err := c.DB.Tags.Set(ctx, string(key.repository), key.tag, manifest.Digest, now, c.Project)
	if err != nil {
		return tagState{}, fmt.Errorf("moving tag %s: %w", key, err)
	}
	return tagState{Descriptor: manifest.Descriptor(), held: true, checkedAt: now, triedAt: now}, nil
}
