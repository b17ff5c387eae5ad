package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

type tagKey struct {
	repository oci.Repository
	tag        string
}

func (k tagKey) String() string { return string(k.repository) + ":" + k.tag }

// tagState is what is known of a tag: what it is announced as, and when the
// upstream was last asked.
type tagState struct {
	oci.Descriptor
	// held is false when only a HEAD has been seen: nobody has asked for the
	// manifest yet, so none was fetched.
	held bool
	// checkedAt is when the upstream last confirmed the digest.
	checkedAt time.Time
	// triedAt is when it was last asked, whatever came of it.
	triedAt time.Time
	// trouble says why the last attempt failed, "" after a good one.
	trouble string
	// cause is the error behind it.
	cause error
	// asOf is when the state, or what it was derived from, was read.
	asOf moment
}

// moment is a point in what happens to the tags of a repository.
type moment struct {
	evictions uint64 // how many there had been
	// others changes when another replica has changed the repository, and differs each
	// time while that cannot be told.
	others metadata.Mark
}

// due tells whether the upstream is to be asked again.
func (s tagState) due(now time.Time, ttl time.Duration) bool {
	return !within(now, s.triedAt, ttl)
}

// within tells whether less than life has gone by since then. A time to come, left by
// a clock that was set back, does not count.
func within(now, then time.Time, life time.Duration) bool {
	age := now.Sub(then)
	return age >= 0 && age < life
}

// tags keeps the states of tags in memory.
type tags struct {
	mu     sync.Mutex
	states *otter.Cache[tagKey, tagState]
	// evictions counts, so that what was found out before one does not come back
	// after it.
	evictions uint64
	changes   *metadata.Changes
}

func newTags(changes *metadata.Changes) *tags {
	return &tags{changes: changes, states: otter.Must(&otter.Options[tagKey, tagState]{MaximumSize: maxTags, Executor: inline})}
}

// get also tells the moment when nothing is known. What another replica has overtaken
// is not: metadata knows better. What only a HEAD has told is not in metadata.
func (t *tags) get(key tagKey) (state tagState, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now(key.repository)
	state, known = t.states.GetIfPresent(key)
	if known && state.held && state.asOf.others != now.others {
		state, known = tagState{}, false
	}
	state.asOf = now
	return state, known
}

// now is called with the lock held.
func (t *tags) now(repo oci.Repository) moment {
	return moment{evictions: t.evictions, others: t.changes.Repository(string(repo))}
}

// set drops a state that an eviction has overtaken. What a HEAD has told does not
// replace a manifest that was fetched meanwhile, which is as new or newer.
func (t *tags) set(key tagKey, state tagState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if state.asOf.evictions != t.evictions {
		return
	}
	if last, ok := t.states.GetIfPresent(key); ok && last.held && !state.held {
		return
	}
	t.states.Set(key, state)
}

// awaiting lists the tags that a HEAD has resolved to a manifest which was not held.
func (t *tags) awaiting(repo oci.Repository, d digest.Digest) map[tagKey]tagState {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := map[tagKey]tagState{}
	for key, state := range t.states.All() {
		if key.repository == repo && state.Digest == d && !state.held {
			state.asOf = t.now(repo)
			found[key] = state
		}
	}
	return found
}

// evict is called after metadata has forgotten a tag.
func (t *tags) evict(key tagKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.evictions++
	t.states.Invalidate(key)
}

// evictManifests is called after metadata has forgotten manifests and their tags.
func (t *tags) evictManifests(repo oci.Repository, all []digest.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.evictions++
	for key, state := range t.states.All() {
		if key.repository == repo && slices.Contains(all, state.Digest) {
			t.states.Invalidate(key)
		}
	}
}

// forget drops one state, unless a newer one has taken its place.
func (t *tags) forget(key tagKey, state tagState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.states.GetIfPresent(key); ok && last.Digest == state.Digest {
		t.states.Invalidate(key)
	}
}

// tag finds what is known of a tag, in memory or else in metadata. The asOf of the
// state holds also when nothing is known.
func (c *Cache) tag(ctx context.Context, key tagKey) (state tagState, known bool, err error) {
	if state, known = c.tags.get(key); known && !state.held {
		return state, true, nil
	}
	d := state.Digest
	if !known {
		stored, err := c.DB.Tags.Get(ctx, string(key.repository), key.tag)
		if errors.Is(err, metadata.ErrNotFound) {
			return state, false, nil
		}
		if err != nil {
			return state, false, err
		}
		d, state.checkedAt, state.triedAt = stored.Digest, stored.CheckedAt, stored.CheckedAt
	}
	descriptor, _, err := c.Held.StatManifest(ctx, oci.Caller{}, key.repository, oci.Reference{Digest: d})
	if oci.CodeOf(err) == oci.CodeManifestUnknown { // it was evicted, and its tags with it
		c.tags.forget(key, state)
		return tagState{asOf: state.asOf}, false, nil
	}
	if err != nil {
		return state, false, err
	}
	if !known {
		state.Descriptor, state.held = descriptor, true
		c.tags.set(key, state)
	}
	return state, true, nil
}

// remember keeps what a HEAD has told of a tag: in memory, and for good where its
// manifest is held already.
func (c *Cache) remember(ctx context.Context, key tagKey, head oci.Descriptor, asOf moment) error {
	now := c.Now()
	c.tags.set(key, tagState{Descriptor: head, checkedAt: now, triedAt: now, asOf: asOf})
	_, _, err := c.Held.StatManifest(ctx, oci.Caller{}, key.repository, oci.Reference{Digest: head.Digest})
	if oci.CodeOf(err) == oci.CodeManifestUnknown {
		return nil
	}
	if err != nil {
		return err
	}
	return c.settle(ctx, key.repository, head.Digest)
}

// settle points the tags to a manifest that has come to be held by its digest:
// containerd and docker HEAD a tag, go on by digest, and want the tag again when the
// upstream is gone.
func (c *Cache) settle(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	for key, state := range c.tags.awaiting(repo, d) {
		err := c.DB.Tags.Set(ctx, string(repo), key.tag, d, state.checkedAt, c.Project)
		if errors.Is(err, metadata.ErrNotFound) {
			continue // evicted this very moment
		}
		if full(err) {
			c.unkept("a tag", key.String(), err)
			continue
		}
		if err != nil {
			return fmt.Errorf("keeping tag %s: %w", key, err)
		}
		state.held = true
		c.tags.set(key, state)
	}
	return nil
}

// confirmed is state after the upstream has said that it is still so.
func (c *Cache) confirmed(ctx context.Context, key tagKey, state tagState) tagState {
	now := c.Now()
	state.checkedAt, state.triedAt, state.trouble, state.cause = now, now, "", nil
	if state.held {
		if err := c.DB.Tags.Checked(ctx, string(key.repository), key.tag, now); err != nil {
			c.Log.Warn("the time of a freshness check was not kept", "tag", key.String(), "error", err)
		}
	}
	return state
}

// failed is state after a check that came to nothing: nobody waits for another for
// the TTL. The log hears of it once, until a check succeeds again.
func (c *Cache) failed(key tagKey, state tagState, trouble string, cause error) tagState {
	if state.trouble == "" && c.life.Err() == nil {
		c.Log.Warn("serving a stale copy", "tag", key.String(), "reason", trouble, "checked", state.checkedAt, "error", cause)
	}
	state.triedAt, state.trouble, state.cause = c.Now(), trouble, cause
	return state
}
