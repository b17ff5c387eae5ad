package pullthrough

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// StatManifest answers a HEAD. A tag never seen costs the upstream a HEAD and no
// pull: whoever only watches a tag does not spend the budget.
func (c *Cache) StatManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Descriptor, oci.Served, error) {
	found, served, err := c.statManifest(ctx, caller, repo, ref)
	if err == nil {
		err = c.again(ctx, caller, repo, ref.String())
	}
	if err != nil {
		return oci.Descriptor{}, served, err
	}
	return found, served, nil
}

func (c *Cache) statManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Descriptor, oci.Served, error) {
	if !ref.ByTag() {
		return c.statByDigest(ctx, caller, repo, ref)
	}
	known, served, err := c.knownTag(ctx, caller, repo, ref)
	if err != nil || known.Digest != "" {
		return known.Descriptor, served, err
	}
	return c.statUnseenTag(ctx, caller, repo, ref, known.asOf)
}

// Manifest answers a GET.
func (c *Cache) Manifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Manifest, oci.Served, error) {
	found, served, err := c.manifest(ctx, caller, repo, ref)
	if err == nil {
		err = c.again(ctx, caller, repo, ref.String())
	}
	if err != nil {
		return oci.Manifest{}, served, err
	}
	return found, served, nil
}

func (c *Cache) manifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Manifest, oci.Served, error) {
	if !ref.ByTag() {
		return c.manifestByDigest(ctx, caller, repo, ref)
	}
	known, served, err := c.knownTag(ctx, caller, repo, ref)
	switch {
	case err != nil:
		return oci.Manifest{}, served, err
	case known.held:
		manifest, _, err := c.Held.Manifest(ctx, caller, repo, oci.Reference{Digest: known.Digest})
		if oci.CodeOf(err) != oci.CodeManifestUnknown { // else it was evicted while it was checked
			return manifest, served, err
		}
	case known.Digest != "":
		return c.fetchSeenTag(ctx, caller, repo, ref, known)
	}
	return c.fetchUnseenTag(ctx, caller, repo, ref, known.asOf)
}

// knownTag is the state of a tag that may be served now, brought up to date when it
// was past its TTL. A state without a digest means that nothing usable is known.
func (c *Cache) knownTag(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (tagState, oci.Served, error) {
	if err := c.allowed(repo); err != nil {
		return tagState{}, c.missed(err), err
	}
	key := tagKey{repo, ref.Tag}
	state, known, err := c.tag(ctx, key)
	if err != nil {
		return tagState{}, c.missed(err), err
	}
	due := known && c.due(state, caller)
	if due && !state.held {
		known, due = false, false
	}
	changed := false
	// A check without credentials answers both questions: is the tag still so, and
	// may strangers see it.
	asStranger := due && !c.Upstream.HasCredentials()
	if asStranger {
		state, changed = c.refreshAsStranger(ctx, caller, key, state)
	}
	if err := c.admit(ctx, caller, repo, ref.String(), known); err != nil || !known {
		return tagState{asOf: state.asOf}, c.missed(err), err
	}
	if due && !asStranger {
		state, changed = c.refresh(ctx, caller, key, state)
	}
	return state, c.servedTag(state, due, changed), ctx.Err()
}

func (c *Cache) refreshAsStranger(ctx context.Context, caller oci.Caller, key tagKey, state tagState) (tagState, bool) {
	state, changed := c.refresh(ctx, caller, key, state)
	if state.trouble != "" {
		c.noteUnanswered(key.repository)
	}
	return state, changed
}

// servedTag describes an answer from what is known of a tag: a hit, a stale copy, or
// the outcome of a check.
func (c *Cache) servedTag(state tagState, asked, changed bool) oci.Served {
	switch {
	case state.trouble != "":
		return c.stale(state)
	case !asked:
		return oci.Served{Cache: &oci.CacheStatus{Hit: true}}
	case changed:
		return oci.Served{Cache: &oci.CacheStatus{Forward: "stale", ForwardStatus: 200, Stored: true}}
	}
	return oci.Served{Cache: &oci.CacheStatus{Forward: "stale", ForwardStatus: 200, Detail: "revalidated"}}
}

func (c *Cache) stale(state tagState) oci.Served {
	age := max(0, c.Now().Sub(state.checkedAt)) // the clock may have been set back
	ttl := c.TagTTL - age
	c.Metrics.stale(c.Project)
	return oci.Served{
		Cache:   &oci.CacheStatus{Hit: true, TTL: &ttl, Detail: "stale-if-error"},
		Warning: "stale copy, last known to be current " + age.Truncate(time.Second).String() + " ago: " + state.trouble,
		Age:     age,
		Cause:   state.cause,
	}
}

// statUnseenTag asks the upstream by HEAD and remembers the answer for the TTL.
func (c *Cache) statUnseenTag(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference, asOf moment) (oci.Descriptor, oci.Served, error) {
	head, served, err := c.statUnseen(ctx, caller, repo, ref, func(ctx context.Context, head oci.Descriptor) error {
		return c.remember(ctx, tagKey{repo, ref.Tag}, head, asOf)
	})
	if err == nil && head.Digest == "" {
		manifest, served, err := c.fetchUnseenTag(ctx, caller, repo, ref, asOf)
		return manifest.Descriptor(), served, err
	}
	return head, served, err
}

// statUnseen HEADs upstream, once for all who ask meanwhile. learn is told of an
// answer that names a digest.
func (c *Cache) statUnseen(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference, learn func(context.Context, oci.Descriptor) error) (oci.Descriptor, oci.Served, error) {
	asked := c.question(caller, repo, ref.String())
	key := "head " + string(repo) + " " + ref.String()
	head, joined, err := sharedBy(ctx, c, caller, asked, key, c.Limits.Fetch, func(ctx context.Context) (oci.Descriptor, error) {
		if err := c.rememberedNotFound(asked); err != nil {
			return oci.Descriptor{}, err
		}
		head, err := c.statUpstream(ctx, caller, repo, ref.String())
		if err != nil {
			return oci.Descriptor{}, c.refused(asked, err)
		}
		if head.Digest == "" {
			return head, nil
		}
		return head, learn(ctx, head)
	})
	if err != nil {
		return oci.Descriptor{}, c.missed(err), err
	}
	return head, oci.Served{Cache: &oci.CacheStatus{Forward: "miss", ForwardStatus: 200, Collapsed: joined}}, nil
}

// fetchUnseenTag is the only GET by tag that there is: for a tag never seen.
func (c *Cache) fetchUnseenTag(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference, asOf moment) (oci.Manifest, oci.Served, error) {
	return c.fetchTag(ctx, caller, tagKey{repo, ref.Tag}, tagState{asOf: asOf}, func(ctx context.Context) (oci.Manifest, error) {
		return c.fetch(ctx, caller, repo, ref)
	})
}

// fetchSeenTag fetches the manifest of a tag that a HEAD has resolved already. When
// the upstream no longer has that digest, the tag has moved since.
func (c *Cache) fetchSeenTag(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference, state tagState) (oci.Manifest, oci.Served, error) {
	return c.fetchTag(ctx, caller, tagKey{repo, ref.Tag}, state, func(ctx context.Context) (oci.Manifest, error) {
		manifest, err := c.fetch(ctx, caller, repo, oci.Reference{Digest: state.Digest})
		if upstream.KindOf(err) == upstream.NotFound {
			return c.fetch(ctx, caller, repo, ref)
		}
		return manifest, err
	})
}

// fetchTag fetches a manifest, once for all who ask for the tag here or of another
// replica, and points the tag to it.
func (c *Cache) fetchTag(ctx context.Context, caller oci.Caller, key tagKey, seen tagState, get func(context.Context) (oci.Manifest, error)) (oci.Manifest, oci.Served, error) {
	manifest, joined, err := sharedBy(ctx, c, caller, c.question(caller, key.repository, key.tag), "tag "+key.String(), c.Limits.Fetch, func(ctx context.Context) (oci.Manifest, error) {
		return once(ctx, c, "tag/"+key.String(), func(ctx context.Context) (oci.Manifest, bool, error) {
			return c.fetchedMeanwhile(ctx, key, seen.Digest)
		}, func(ctx context.Context) (oci.Manifest, error) {
			manifest, err := get(ctx)
			if err != nil {
				return oci.Manifest{}, err
			}
			return manifest, c.pointTag(ctx, key, manifest, seen.asOf)
		})
	})
	return manifest, c.fetched(ctx, key.repository, manifest, joined, err), err
}

// fetchedMeanwhile finds the manifest that was fetched for a tag after the caller had
// looked, here or by another replica, and that a HEAD has seen, unless seen is empty.
func (c *Cache) fetchedMeanwhile(ctx context.Context, key tagKey, seen digest.Digest) (oci.Manifest, bool, error) {
	manifest, tag, err := c.DB.Manifests.GetByTag(ctx, string(key.repository), key.tag)
	if errors.Is(err, metadata.ErrNotFound) {
		return oci.Manifest{}, false, nil
	}
	current := within(c.Now(), tag.CheckedAt, c.TagTTL) && (seen == "" || seen == manifest.Digest)
	return manifest, err == nil && current, err
}

// pointTag points a tag to a manifest that was fetched for it.
func (c *Cache) pointTag(ctx context.Context, key tagKey, manifest oci.Manifest, asOf moment) error {
	state, err := c.setTag(ctx, key, manifest, asOf)
	if full(err) || errors.Is(err, metadata.ErrNotFound) {
		return nil // there was no room to keep it, or it was evicted this very moment
	}
	if err != nil {
		return err
	}
	c.tags.set(key, state)
	return nil
}

// statByDigest describes what is held, or asks upstream by HEAD, which costs no pull.
func (c *Cache) statByDigest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Descriptor, oci.Served, error) {
	manifest, held, err := c.heldManifest(ctx, caller, repo, ref)
	if err != nil {
		return oci.Descriptor{}, c.missed(err), err
	}
	if held {
		return manifest.Descriptor(), oci.Served{Cache: &oci.CacheStatus{Hit: true}}, nil
	}
	head, served, err := c.statUnseen(ctx, caller, repo, ref, func(context.Context, oci.Descriptor) error { return nil })
	head.Digest = ref.Digest // not every registry repeats it
	return head, served, err
}

// manifestByDigest serves what is held; a digest is not asked for again.
func (c *Cache) manifestByDigest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Manifest, oci.Served, error) {
	manifest, held, err := c.heldManifest(ctx, caller, repo, ref)
	if err != nil {
		return oci.Manifest{}, c.missed(err), err
	}
	if held {
		return manifest, oci.Served{Cache: &oci.CacheStatus{Hit: true}}, nil
	}
	key := "digest " + string(repo) + "@" + ref.String()
	manifest, joined, err := sharedBy(ctx, c, caller, c.question(caller, repo, ref.String()), key, c.Limits.Fetch, func(ctx context.Context) (oci.Manifest, error) {
		return c.fetch(ctx, caller, repo, ref)
	})
	if err == nil { // it may have come to be held, by a credential's pull, after the caller was admitted
		err = c.admit(ctx, caller, repo, ref.String(), true)
	}
	if err != nil {
		return oci.Manifest{}, c.missed(err), err
	}
	return manifest, c.fetched(ctx, repo, manifest, joined, nil), nil
}

// heldManifest finds a manifest by digest in a repository that the caller may see.
func (c *Cache) heldManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Manifest, bool, error) {
	manifest, _, err := c.Held.Manifest(ctx, caller, repo, ref)
	held := err == nil
	if err != nil && oci.CodeOf(err) != oci.CodeManifestUnknown {
		return oci.Manifest{}, false, err
	}
	if err := c.admit(ctx, caller, repo, ref.String(), held); err != nil {
		return oci.Manifest{}, false, err
	}
	return manifest, held, nil
}

// fetched describes an answer that had to be fetched, or the error in its place.
func (c *Cache) fetched(ctx context.Context, repo oci.Repository, manifest oci.Manifest, joined bool, err error) oci.Served {
	if err != nil {
		return c.missed(err)
	}
	_, _, err = c.Held.StatManifest(ctx, oci.Caller{}, repo, oci.Reference{Digest: manifest.Digest})
	return oci.Served{Cache: &oci.CacheStatus{Forward: "miss", Stored: !joined && err == nil, Collapsed: joined}}
}
