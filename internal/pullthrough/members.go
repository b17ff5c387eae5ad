package pullthrough

import (
	"context"
	"errors"
	"net/http"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// unshownLife is how long it stands that a repository was not shown to an audience.
const unshownLife = notFoundLife

// admitMember decides for a caller who is logged in. What only credentials that serve
// everybody have fetched is open to all of them. Where a project's own may have fetched
// something, the upstream has to show the repository to strangers, to a project of the
// caller's, or to everybody. Whether it does is also found out before a project's own
// credential is used.
func (c *Cache) admitMember(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string) error {
	known, err := c.showings(ctx, repo)
	if err != nil || !known.lent() && len(caller.Projects) == 0 {
		return err
	}
	seen, err := c.visible(ctx, repo)
	if err != nil {
		return err
	}
	if seen.public && seen.current(c.Now()) {
		return c.lend(ctx, caller, repo, known)
	}
	its := c.audiencesOf(caller)
	for _, a := range its {
		if is := known.all[a.name]; is.shown && within(c.Now(), is.checkedAt, visibilityLife) {
			return nil
		}
	}
	return c.findAudience(ctx, caller, repo, ref, known, its)
}

// audiencesOf lists the audiences that a caller belongs to.
func (c *Cache) audiencesOf(caller oci.Caller) []audience {
	var its []audience
	for _, project := range caller.Projects {
		if name := c.Upstream.OwnName(project); name != "" {
			its = append(its, audience{name, project})
		}
	}
	return append(its, audience{name: everybody})
}

// findAudience asks the upstream, for those first who had it before, and for strangers.
func (c *Cache) findAudience(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string, known showings, its []audience) error {
	telling := error(&upstream.Error{
		Kind: upstream.Denied, Status: http.StatusUnauthorized, Upstream: c.Project,
		Message: "the repository does not exist or no credential of the caller's may read it",
	})
	for _, had := range []bool{true, false} {
		if !had {
			public, err := c.askStrangers(ctx, caller, repo, ref)
			if public {
				return c.lend(ctx, caller, repo, known)
			}
			telling = moreTelling(err, telling)
		}
		for _, a := range its {
			if known.all[a.name].shown != had {
				continue
			}
			shown, err := c.askAudience(ctx, caller, repo, ref, a, known.all[a.name])
			if shown {
				return nil
			}
			telling = moreTelling(err, telling)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	failure, ok := errors.AsType[*upstream.Error](telling)
	if !ok {
		return telling
	}
	return c.describe(question{as: upstream.Any, repository: repo, reference: ref}, failure)
}

// moreTelling is the later error if it says more than that the repository is not shown.
func moreTelling(later, before error) error {
	if later == nil || upstream.KindOf(later) == upstream.Denied {
		return before
	}
	return later
}

// askStrangers tells whether strangers may see a repository.
func (c *Cache) askStrangers(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string) (public bool, err error) {
	seen, err := c.visible(ctx, repo)
	if err != nil {
		return false, err
	}
	if !seen.current(c.Now()) {
		seen, err = c.askVisibility(ctx, caller, repo, ref, seen, false)
	}
	return err == nil && seen.known && seen.public, err
}

// askAudience HEADs as an audience would, once for all of it who ask. The last answer
// stands when the question fails.
func (c *Cache) askAudience(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string, a audience, last showing) (shown bool, err error) {
	now := c.Now()
	switch {
	case a.project == "" && !c.Upstream.HasShared():
		return last.shown, nil
	case last.shown && within(now, last.triedAt, c.TagTTL), !last.shown && within(now, last.checkedAt, unshownLife):
		return last.shown, nil
	}
	waiting := ctx
	if last.shown {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, c.Limits.Patience)
		defer cancel()
	}
	asked := question{as: upstream.Own, repository: repo, reference: ref, audience: a.name}
	shown, _, err = shared(waiting, c, "audience "+a.name+" "+string(repo)+" "+ref, c.Limits.Check, func(ctx context.Context) (bool, error) {
		return c.questionAudience(ctx, caller, a, asked, last)
	})
	if err == nil || !last.shown || ctx.Err() != nil {
		return shown, err
	}
	last.triedAt = c.Now()
	c.to.set(repo, a.name, last)
	c.Log.Warn("whether a credential may see a repository could not be found out; the last answer stands",
		"repository", string(repo), "audience", a.name, "error", err)
	return true, nil
}

func (c *Cache) questionAudience(ctx context.Context, caller oci.Caller, a audience, asked question, last showing) (shown bool, err error) {
	err = c.stat(ctx, a.asker(caller), asked)
	if upstream.KindOf(err) == upstream.Denied && last.shown {
		// What vanished stays with those who had it; others may still be shown what they
		// are shown no longer.
		err = c.stat(ctx, upstream.Every.For(caller), asked)
		if err == nil {
			return false, c.noteShowing(ctx, asked.repository, a.name, false)
		}
		if upstream.KindOf(err) == upstream.Denied {
			err = nil
		}
	}
	switch {
	case err == nil:
		return true, c.noteShowing(ctx, asked.repository, a.name, true)
	case upstream.KindOf(err) == upstream.Denied:
		return false, c.noteShowing(ctx, asked.repository, a.name, false)
	}
	return false, err
}

// again admits a caller once more to what was found for it: meanwhile it may have been
// fetched, or joined, with a credential that is another's.
func (c *Cache) again(ctx context.Context, caller oci.Caller, repo oci.Repository, ref string) error {
	if caller.Stranger() && !c.Upstream.HasCredentials() {
		return nil
	}
	return c.admit(ctx, caller, repo, ref, true)
}

// Shows tells whether a repository's name is for a caller who is logged in, by what is
// known of it already.
func (c *Cache) Shows(ctx context.Context, caller oci.Caller, repo oci.Repository) (bool, error) {
	known, err := c.showings(ctx, repo)
	if err != nil || !known.lent() {
		return err == nil, err
	}
	seen, err := c.visible(ctx, repo)
	if err != nil || seen.public {
		return err == nil, err
	}
	for _, a := range c.audiencesOf(caller) {
		if known.all[a.name].shown {
			return true, nil
		}
	}
	return false, nil
}

// Lenders are the projects that have credentials of their own for the upstream.
func (c *Cache) Lenders() []string { return c.Upstream.Lenders() }
