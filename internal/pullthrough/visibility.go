package pullthrough

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// visibility is what is known of whether an upstream shows a repository to strangers.
type visibility struct {
	known, public bool
	checkedAt     time.Time // of the last answer
	triedAt       time.Time // of the last question, answered or not
}

// admit decides whether the caller may have something of a repository. Callers who
// are logged in may; a stranger may have what the upstream shows to strangers,
// whichever credential paid for it. held tells whether the answer is there already:
// what is not held and is fetched without credentials needs no question, because the
// fetch itself is a stranger's.
func (c *Cache) admit(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string, held bool) error {
	if !c.Allows(repo.Rest()) {
		return &oci.Error{
			Code:    oci.CodeDenied,
			Message: fmt.Sprintf("%s may not be fetched from %s through this registry: its operator's allow and deny lists (upstream %s) leave it out", repo.Rest(), c.Title, c.Project),
		}
	}
	if !caller.Stranger() {
		return nil
	}
	if !held && !c.Upstream.HasCredentials() {
		return nil
	}
	seen, err := c.visible(ctx, repo)
	if err != nil {
		return err
	}
	if !seen.known || c.Now().Sub(seen.checkedAt) >= visibilityLife {
		if seen, err = c.askVisibility(ctx, repo, ref, seen, held); err != nil {
			return err
		}
	}
	if seen.known && seen.public {
		return nil
	}
	return &oci.Error{
		Code:    oci.CodeUnauthorized,
		Message: fmt.Sprintf("%s is not shown to strangers by %s: log in to this registry to pull it", repo.Rest(), c.Title),
	}
}

func (c *Cache) visible(ctx context.Context, repo oci.Repository) (visibility, error) {
	if seen, ok := c.visibility.GetIfPresent(repo); ok {
		return seen, nil
	}
	stored, err := c.DB.Repositories.Visibility(ctx, string(repo))
	if err != nil {
		return visibility{}, err
	}
	seen := visibility{known: stored.Known, public: stored.Public, checkedAt: stored.CheckedAt}
	if seen.known {
		c.visibility.Set(repo, seen)
	}
	return seen, nil
}

// askVisibility HEADs as a stranger would, once for all who ask. The last answer
// stands when the question fails; where there is none, what is held needs a login,
// and what is not held gets the upstream's own error.
func (c *Cache) askVisibility(ctx context.Context, repo oci.Repository, ref string, last visibility, held bool) (visibility, error) {
	if c.Now().Sub(last.triedAt) < c.TagTTL {
		return last, nil
	}
	if last.known {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Limits.Patience)
		defer cancel()
	}
	seen, _, err := shared(ctx, c, "visibility "+string(repo), c.Limits.Check, func(ctx context.Context) (visibility, error) {
		if err := c.rememberedNotFound(string(repo) + " " + ref); err != nil {
			return last, err
		}
		err := c.stat(ctx, upstream.Anonymous, repo, ref)
		switch {
		case err == nil:
			return c.noteVisibility(ctx, repo, true), nil
		case upstream.KindOf(err) == upstream.Denied && !c.gone(ctx, repo, ref, last):
			return c.noteVisibility(ctx, repo, false), nil
		}
		last.triedAt = c.Now()
		if last.known {
			c.visibility.Set(repo, last)
			return last, nil
		}
		return last, c.refused(repo, ref, err)
	})
	if err != nil && (last.known || held) {
		return last, nil
	}
	return seen, err
}

// gone tells a repository that vanished upstream from one that became private, for
// which Docker Hub has the same answer. Only the latter is closed to the strangers
// who could see it before: a credential can still read it.
func (c *Cache) gone(ctx context.Context, repo oci.Repository, ref string, last visibility) bool {
	if !last.public {
		return false
	}
	return !c.Upstream.HasCredentials() || c.stat(ctx, upstream.Any, repo, ref) != nil
}

// stat HEADs what the caller asked for. An empty reference asks for a list of tags.
func (c *Cache) stat(ctx context.Context, as upstream.Auth, repo oci.Repository, ref string) error {
	if ref == "" {
		_, err := c.Upstream.Tags(ctx, as, repo.Rest(), oci.TagPage{Limit: 1})
		return err
	}
	if name, isBlob := strings.CutPrefix(ref, blobReference); isBlob {
		d, err := oci.ParseDigest(name)
		if err != nil {
			return err
		}
		_, err = c.Upstream.StatBlob(ctx, as, repo.Rest(), d)
		return err
	}
	_, err := c.Upstream.StatManifest(ctx, as, repo.Rest(), ref)
	return err
}

// noteVisibility remembers an answer. That a repository is not shown is kept in
// metadata only where there is a repository: strangers can ask for any name.
func (c *Cache) noteVisibility(ctx context.Context, repo oci.Repository, public bool) visibility {
	now := c.Now()
	seen := visibility{known: true, public: public, checkedAt: now, triedAt: now}
	c.visibility.Set(repo, seen)
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
	if err == nil && seen.public && c.Now().Sub(seen.checkedAt) < visibilityLife/2 {
		return
	}
	c.noteVisibility(ctx, repo, true)
}

// noteAnonymousFailure keeps a question that was just asked in vain without
// credentials from being asked again about strangers.
func (c *Cache) noteAnonymousFailure(ctx context.Context, repo oci.Repository) {
	if seen, err := c.visible(ctx, repo); err == nil {
		seen.triedAt = c.Now()
		c.visibility.Set(repo, seen)
	}
}
