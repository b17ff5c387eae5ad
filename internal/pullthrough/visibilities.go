package pullthrough

import (
	"context"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/larder-registry/larder/internal/oci"
)

// visibilities keeps in memory what is known of repositories.
type visibilities struct {
	mu    sync.Mutex
	known *otter.Cache[oci.Repository, visibility]
}

func newVisibilities() *visibilities {
	return &visibilities{known: otter.Must(&otter.Options[oci.Repository, visibility]{MaximumSize: maxVisibility, Executor: inline})}
}

// update sets what is known to what change makes of it.
func (v *visibilities) update(repo oci.Repository, change func(visibility) visibility) visibility {
	v.mu.Lock()
	defer v.mu.Unlock()
	last, _ := v.known.GetIfPresent(repo)
	last = change(last)
	v.known.Set(repo, last)
	return last
}

// visible finds what is known of a repository, in memory or else in metadata.
func (c *Cache) visible(ctx context.Context, repo oci.Repository) (visibility, error) {
	mark := c.Changes.Repository(string(repo))
	seen, ok := c.shown.known.GetIfPresent(repo)
	if ok && seen.known && seen.asOf == mark {
		return seen, nil
	}
	stored, err := c.DB.Repositories.Visibility(ctx, string(repo))
	if err != nil {
		return visibility{}, err
	}
	if !stored.Known {
		return seen, nil
	}
	return c.shown.update(repo, func(last visibility) visibility {
		if last.known && last.asOf == mark { // it has been answered meanwhile
			return last
		}
		return visibility{known: true, public: stored.Public, checkedAt: stored.CheckedAt, triedAt: last.triedAt, asOf: mark}
	}), nil
}

// noteVisibility remembers an answer. That a repository is not shown is kept in
// metadata only where there is a repository: strangers can ask for any name.
func (c *Cache) noteVisibility(ctx context.Context, repo oci.Repository, public bool) visibility {
	now, mark := c.Now(), c.Changes.Repository(string(repo))
	seen := c.shown.update(repo, func(visibility) visibility {
		return visibility{known: true, public: public, checkedAt: now, asOf: mark}
	})
	if err := c.keepVisibility(ctx, repo, public, now); err != nil {
		c.Log.Warn("a repository's visibility was not kept", "repository", string(repo), "error", err)
	}
	return seen
}

func (c *Cache) keepVisibility(ctx context.Context, repo oci.Repository, public bool, at time.Time) error {
	if !public {
		exists, err := c.DB.Repositories.Exists(ctx, string(repo))
		if err != nil || !exists {
			return err
		}
	}
	return c.DB.Repositories.SetVisibility(ctx, string(repo), public, at)
}

// noteAnonymousSuccess learns from a request that was made without credentials:
// what it could read, strangers can.
func (c *Cache) noteAnonymousSuccess(ctx context.Context, repo oci.Repository) {
	if c.Upstream.HasCredentials() {
		return
	}
	seen, err := c.visible(ctx, repo)
	if err == nil && seen.public && within(c.Now(), seen.checkedAt, visibilityLife/2) {
		return
	}
	c.noteVisibility(ctx, repo, true)
}

// noteUnanswered keeps a question about strangers that was just asked in vain from
// being waited for again within the TTL.
func (c *Cache) noteUnanswered(repo oci.Repository) {
	c.shown.update(repo, func(last visibility) visibility {
		last.triedAt = c.Now()
		return last
	})
}

// KnownPublic tells whether a repository is known to be shown to strangers. It asks no
// upstream: what is not known is false.
func (c *Cache) KnownPublic(ctx context.Context, repo oci.Repository) bool {
	seen, err := c.visible(ctx, repo)
	return err == nil && seen.known && seen.public
}
