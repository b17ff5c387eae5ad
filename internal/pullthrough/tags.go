package pullthrough

import (
	"context"
	"errors"
	"time"

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
}

// due tells whether the upstream is to be asked again.
func (s tagState) due(now time.Time, ttl time.Duration) bool {
	last := s.checkedAt
	if s.triedAt.After(last) {
		last = s.triedAt
	}
	return now.Sub(last) >= ttl
}

// tag finds what is known of a tag, in memory or else in metadata.
func (c *Cache) tag(ctx context.Context, key tagKey) (state tagState, known bool, err error) {
	if state, ok := c.tags.GetIfPresent(key); ok {
		return state, true, nil
	}
	stored, err := c.DB.Tags.Get(ctx, string(key.repository), key.tag)
	if errors.Is(err, metadata.ErrNotFound) {
		return tagState{}, false, nil
	}
	if err != nil {
		return tagState{}, false, err
	}
	descriptor, _, err := c.Held.StatManifest(ctx, oci.Caller{}, key.repository, oci.Reference{Digest: stored.Digest})
	if err != nil {
		return tagState{}, false, err
	}
	state = tagState{Descriptor: descriptor, held: true, checkedAt: stored.CheckedAt}
	c.tags.Set(key, state)
	return state, true, nil
}

// confirmed is state after the upstream has said that it is still so.
func (c *Cache) confirmed(ctx context.Context, key tagKey, state tagState) tagState {
	now := c.Now()
	state.checkedAt, state.triedAt, state.trouble = now, now, ""
	if state.held {
		if err := c.DB.Tags.Checked(ctx, string(key.repository), key.tag, now); err != nil {
			c.Log.Warn("the time of a freshness check was not kept", "tag", key.String(), "error", err)
		}
	}
	return state
}

// failed is state after a check that came to nothing: nobody waits for another for
// the TTL. The log hears of it once, until a check succeeds again.
func (c *Cache) failed(key tagKey, state tagState, trouble string) tagState {
	if state.trouble == "" {
		c.Log.Warn("serving a stale copy", "tag", key.String(), "reason", trouble, "checked", state.checkedAt)
	}
	state.triedAt, state.trouble = c.Now(), trouble
	return state
}
