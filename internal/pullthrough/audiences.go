package pullthrough

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// everybody is the audience of the credentials that serve everybody. It is no project's.
const everybody = "*"

// audience is who may be shown a repository for the sake of a credential: the members of
// a project that has its own, or all who are logged in.
type audience struct {
	name    string
	project string // "" for everybody
}

// asker asks with the audience's credentials alone.
func (a audience) asker(caller oci.Caller) upstream.Asker {
	if a.project == "" {
		return upstream.Shared.For(caller)
	}
	return upstream.Own.For(caller).With(a.project)
}

// showing is what is known of whether an upstream shows a repository to an audience.
type showing struct {
	shown     bool
	checkedAt time.Time // of the last answer
	triedAt   time.Time // of the last question that was not answered
}

// showings are those of one repository. They are not changed once they are there.
type showings struct {
	all  map[string]showing
	asOf metadata.Mark
}

// lent tells whether a project's own credential may have fetched something.
func (s showings) lent() bool {
	for name := range s.all {
		if name != everybody {
			return true
		}
	}
	return false
}

// audiences keeps showings in memory.
type audiences struct {
	mu    sync.Mutex
	known *otter.Cache[oci.Repository, showings]
}

func newAudiences() *audiences {
	return &audiences{known: otter.Must(&otter.Options[oci.Repository, showings]{MaximumSize: maxVisibility, Executor: inline})}
}

// set puts one showing beside the others of a repository that are known.
func (a *audiences) set(repo oci.Repository, name string, is showing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was, ok := a.known.GetIfPresent(repo)
	if !ok {
		return // it is read anew
	}
	was.all = maps.Clone(was.all)
	was.all[name] = is
	a.known.Set(repo, was)
}

// showings finds what is known of a repository, in memory or else in metadata. What was
// not shown to an audience without a row is in memory alone.
func (c *Cache) showings(ctx context.Context, repo oci.Repository) (showings, error) {
	mark := c.Changes.Repository(string(repo))
	known, ok := c.to.known.GetIfPresent(repo)
	if ok && known.asOf == mark {
		return known, nil
	}
	stored, err := c.DB.Repositories.Audiences(ctx, string(repo))
	if err != nil {
		return showings{}, err
	}
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	if now, ok := c.to.known.GetIfPresent(repo); ok && now.asOf == mark { // somebody was quicker
		return now, nil
	}
	read := showings{all: map[string]showing{}, asOf: mark}
	for _, a := range stored {
		read.all[a.Name] = showing{shown: a.Shown, checkedAt: a.CheckedAt}
	}
	c.to.known.Set(repo, read)
	return read, nil
}

// noteShowing remembers whether a repository was shown to an audience. It is in metadata
// before anything is fetched with the audience's credentials, since what they fetch is for
// nobody else.
func (c *Cache) noteShowing(ctx context.Context, repo oci.Repository, name string, shown bool) error {
	known, err := c.showings(ctx, repo)
	if err != nil {
		return err
	}
	now := c.Now()
	if _, kept := known.all[name]; shown || kept {
		err := c.DB.Repositories.SetAudience(ctx, string(repo), metadata.Audience{Name: name, Shown: shown, CheckedAt: now})
		if err != nil {
			return fmt.Errorf("keeping to whom %s is shown: %w", repo, err)
		}
	}
	c.to.set(repo, name, showing{shown: shown, checkedAt: now})
	return nil
}

// lend makes a repository that strangers may see one that projects' own credentials may be
// used for. Should it become private, it is known that they may have fetched from it.
func (c *Cache) lend(ctx context.Context, caller oci.Caller, repo oci.Repository, known showings) error {
	for _, project := range caller.Projects {
		name := c.Upstream.OwnName(project)
		if _, kept := known.all[name]; kept || name == "" {
			continue
		}
		err := c.DB.Repositories.SetAudience(ctx, string(repo), metadata.Audience{Name: name, CheckedAt: c.Now().Add(-visibilityLife)})
		if err != nil {
			return fmt.Errorf("keeping that %s is fetched for project %s: %w", repo, project, err)
		}
		c.to.set(repo, name, showing{checkedAt: c.Now().Add(-visibilityLife)})
	}
	return nil
}

// question is what a caller wants to know of a repository: whose credentials may be used
// makes it another one.
func (c *Cache) question(caller oci.Caller, repo oci.Repository, ref string) question {
	as := c.asker(caller, repo)
	return question{as: as.Auth, repository: repo, reference: ref, audience: strings.Join(as.Projects, " ")}
}

// sharedBy is shared for a question of a caller. One that was joined may have failed for
// want of a credential that may be used for the caller: then it is asked anew.
func sharedBy[T any](ctx context.Context, c *Cache, caller oci.Caller, asked question, key string, limit time.Duration, fn func(context.Context) (T, error)) (value T, joined bool, err error) {
	value, joined, err = sharedFor(ctx, c, caller, key, limit, fn)
	if joined && asked.audience != "" && upstream.KindOf(err) == upstream.Denied {
		value, _, err = shared(ctx, c, key+" for "+asked.audience, limit, fn)
	}
	return value, joined, err
}

// asker is as whom something of a repository is asked for on behalf of a caller. A
// project's own credential is used for what it is known to be shown, or strangers are, and
// once it is kept that it may have been.
func (c *Cache) asker(caller oci.Caller, repo oci.Repository) upstream.Asker {
	as := upstream.Any.For(caller)
	if len(caller.Projects) == 0 {
		return as
	}
	known, ok := c.to.known.GetIfPresent(repo)
	if !ok {
		return as
	}
	seen, _ := c.shown.known.GetIfPresent(repo)
	public := seen.public && seen.current(c.Now())
	for _, project := range caller.Projects {
		if is, kept := known.all[c.Upstream.OwnName(project)]; kept && (is.shown || public) {
			as.Projects = append(as.Projects, project)
		}
	}
	return as
}
