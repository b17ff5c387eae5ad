package pullthrough

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// visibility is what is known of whether an upstream shows a repository to strangers.
type visibility struct {
	known, public bool
	checkedAt     time.Time // of the last answer
	triedAt       time.Time // of the last question that was not answered
	asOf          metadata.Mark
}

// admit decides whether the caller may have something of a repository. Callers who
// are logged in may, unless only projects' own credentials may have fetched it; a stranger
// may have what the upstream shows to strangers, whichever credential paid for it. held
// tells whether the answer is there already: what is not held and is fetched without
// credentials needs no question, because the fetch itself is a stranger's.
func (c *Cache) admit(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string, held bool) error {
	if err := c.allowed(repo); err != nil {
		return err
	}
	if !caller.Stranger() {
		return c.admitMember(ctx, caller, repo, ref)
	}
	if !held && !c.Upstream.HasCredentials() {
		return nil
	}
	seen, err := c.visible(ctx, repo)
	if err != nil {
		return err
	}
	if !seen.current(c.Now()) {
		if seen, err = c.askVisibility(ctx, caller, repo, ref, seen, held); err != nil {
			return err
		}
	}
	message := "%s is not shown to strangers by %s: log in to this registry to pull it"
	switch {
	case seen.known && seen.public:
		return nil
	case !seen.known:
		message = "whether %s is shown to strangers cannot be asked of %s now: log in to this registry to pull it, or try again later"
	}
	return &oci.Error{Code: oci.CodeUnauthorized, Rule: oci.RuleVisibility, Message: fmt.Sprintf(message, repo.Rest(), c.Title)}
}

// allowed holds a repository against the operator's allow and deny lists.
func (c *Cache) allowed(repo oci.Repository) error {
	if c.Allows(repo.Rest()) {
		return nil
	}
	return &oci.Error{
		Code:    oci.CodeDenied,
		Rule:    oci.RuleLists,
		Message: fmt.Sprintf("%s may not be fetched from %s through this registry: its operator's allow and deny lists (upstream %s) leave it out", repo.Rest(), c.Title, c.Project),
	}
}

func (v visibility) current(now time.Time) bool {
	return v.known && within(now, v.checkedAt, visibilityLife)
}

// askVisibility HEADs as a stranger would, once for all who ask. The last answer
// stands when the question fails; where there is none, what is held needs a login,
// and what is not held gets the upstream's own error.
func (c *Cache) askVisibility(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string, last visibility, held bool) (visibility, error) {
	if (last.known || held) && within(c.Now(), last.triedAt, c.TagTTL) {
		return last, nil
	}
	waiting := ctx
	if last.known {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, c.Limits.Patience)
		defer cancel()
	}
	ask := func(ctx context.Context) (visibility, error) { return c.questionVisibility(ctx, caller, repo, ref) }
	key := "visibility " + string(repo)
	seen, joined, err := shared(waiting, c, key, c.Limits.Check, ask)
	if joined && !last.known && upstream.KindOf(err) == upstream.NotFound { // of what another stranger asked for
		seen, _, err = shared(waiting, c, key+" "+ref, c.Limits.Check, ask)
	}
	if err == nil || !last.known && !held || ctx.Err() != nil {
		return seen, err
	}
	if last.known || upstream.KindOf(err) != upstream.NotFound {
		c.noteUnanswered(repo)
		if last.triedAt.IsZero() { // once, until there is an answer again
			c.Log.Warn("whether strangers may see a repository could not be found out; the last answer stands",
				"repository", string(repo), "known", last.known, "public", last.public, "error", err)
		}
	}
	return last, nil
}

func (c *Cache) questionVisibility(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string) (visibility, error) {
	last, err := c.visible(ctx, repo)
	if err != nil || last.current(c.Now()) { // answered since the caller looked
		return last, err
	}
	asked := question{as: upstream.Anonymous, repository: repo, reference: ref}
	if err := c.rememberedNotFound(asked); err != nil {
		return last, err
	}
	err = c.stat(ctx, upstream.Anonymous.For(caller), asked)
	switch {
	case err == nil:
		return c.noteVisibility(ctx, repo, true), nil
	case upstream.KindOf(err) == upstream.Denied && ref == tagsReference:
		return last, nil // some registries show images to strangers, but no lists
	case upstream.KindOf(err) == upstream.Denied && !c.gone(ctx, caller, asked, last):
		return c.noteVisibility(ctx, repo, false), nil
	}
	return last, c.refused(asked, err)
}

// gone tells a repository that vanished upstream from one that became private, for
// which Docker Hub has the same answer. Only the latter is closed to the strangers
// who could see it before: a credential can still read it.
func (c *Cache) gone(ctx context.Context, caller oci.Caller, asked question, last visibility) bool {
	if !last.public {
		return false
	}
	return !c.Upstream.HasCredentials() || c.stat(ctx, upstream.Every.For(caller), asked) != nil
}

// stat HEADs what was asked for. A list of tags has no HEAD.
func (c *Cache) stat(ctx context.Context, as upstream.Asker, asked question) error {
	name := asked.repository.Rest()
	if asked.reference == tagsReference {
		_, err := c.Upstream.Tags(ctx, as, name, oci.TagPage{Limit: 1})
		return err
	}
	if blob, isBlob := strings.CutPrefix(asked.reference, blobReference); isBlob {
		_, err := c.Upstream.StatBlob(ctx, as, name, digest.Digest(blob))
		return err
	}
	_, err := c.Upstream.StatManifest(ctx, as, name, asked.reference)
	return err
}
