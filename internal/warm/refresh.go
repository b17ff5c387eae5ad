package warm

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/sleep"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// refreshPage is how many tags are read at once, maxRefreshed how many one turn asks for.
	refreshPage  = 100
	maxRefreshed = 1000
	// leastRest and longestRest bound how long an upstream is left alone that failed, or that
	// has too few pulls left.
	leastRest   = time.Minute
	longestRest = time.Hour
	// maxRefusals bounds the tags that are remembered since an upstream does not show them.
	maxRefusals = 10_000
)

// Refresh says which tags of an upstream are kept fresh, and what that may cost.
type Refresh struct {
	// Every is after how long a tag is asked for again, by HEAD; zero: none is.
	Every time.Duration
	// Above is the share of a pull limit, in percent, that an account has to have left for a
	// pull.
	Above int
	// Pulled is how recently a tag that is not pinned has to have been pulled.
	Pulled time.Duration
}

// Cache is where tags are kept fresh.
type Cache interface {
	Images
	// Recheck takes a tag to where the upstream has moved it.
	Recheck(ctx context.Context, caller oci.Caller, repo oci.Repository, tag string) (moved bool, err error)
}

// Refreshed is an upstream that is kept fresh, as it is configured at this moment.
type Refreshed struct {
	Refresh
	Cache Cache
	// Close is called when the cache is not used any more.
	Close func()
}

// TagLister lists the tags that are due; see metadata.Tags.
type TagLister interface {
	ToRefresh(ctx context.Context, q metadata.RefreshQuery) ([]metadata.TagName, error)
}

// RefresherConfig is what a Refresher stands on.
type RefresherConfig struct {
	Tags TagLister
	Held Images
	// Open finds an upstream by its name; false when it is not to be refreshed.
	Open func(name string) (Refreshed, bool)
	// Pause lies between two tags, so that upstreams are not flooded.
	Pause   time.Duration
	Metrics *RefreshMetrics
	Now     func() time.Time
	Log     *slog.Logger
}

// Refresher looks after tags that are pinned or pulled often, before anybody pulls them
// again. It is safe for concurrent use.
type Refresher struct {
	RefresherConfig
	mu         sync.Mutex
	rests      map[string]rest
	refusals   map[metadata.TagName]time.Time // when an upstream did not show a tag
	unfinished []unfinished
}

// rest is how long an upstream is left alone.
type rest struct {
	until    time.Time
	failures int // in a row
}

// NewRefresher makes a Refresher.
func NewRefresher(c RefresherConfig) *Refresher {
	return &Refresher{RefresherConfig: c, rests: map[string]rest{}, refusals: map[metadata.TagName]time.Time{}}
}

// Turn asks an upstream for the tags that are due, one after the other, and fetches what has
// moved; then what did not come in earlier turns. It ends early when the upstream fails or has
// too few pulls left.
func (r *Refresher) Turn(ctx context.Context, name string) {
	if r.resting(name) {
		return
	}
	asked, err := r.walk(ctx, name)
	if err == nil {
		err = r.finish(ctx, name)
	}
	if ctx.Err() != nil {
		return
	}
	r.settle(ctx, name, asked, err)
}

// walk goes through the tags by their names. The error is why it did not come to the end.
func (r *Refresher) walk(ctx context.Context, name string) (asked int, err error) {
	var after metadata.TagName
	for {
		page, every, err := r.due(ctx, name, after)
		if err != nil {
			return asked, err
		}
		for _, tag := range page {
			if r.refusedLately(tag, every) {
				continue
			}
			if asked == maxRefreshed {
				return asked, nil
			}
			if err := sleep.For(ctx, r.Pause); err != nil {
				return asked, err
			}
			asked++
			if err := r.refresh(ctx, name, tag); err != nil {
				return asked, err
			}
		}
		if len(page) < refreshPage {
			return asked, nil
		}
		after = page[len(page)-1]
	}
}

// due lists some of the tags that are due.
func (r *Refresher) due(ctx context.Context, name string, after metadata.TagName) ([]metadata.TagName, time.Duration, error) {
	of, ok := r.Open(name)
	if !ok {
		return nil, 0, nil
	}
	of.Close()
	now := r.Now()
	page, err := r.Tags.ToRefresh(ctx, metadata.RefreshQuery{
		Project: name, CheckedBefore: now.Add(-of.Every), PulledSince: now.Add(-of.Pulled), After: after, Limit: refreshPage,
	})
	return page, of.Every, err
}

// refresh asks for one tag. The error is one that others would meet as well.
func (r *Refresher) refresh(ctx context.Context, name string, tag metadata.TagName) error {
	of, ok := r.Open(name)
	if !ok {
		return nil
	}
	defer of.Close()
	moved, err := of.Cache.Recheck(ctx, of.caller(), oci.Repository(tag.Repository), tag.Tag)
	if err == nil && moved {
		err = r.fetch(ctx, of, unfinished{tag, r.Now()})
	}
	return r.cameOf(ctx, name, tag, moved, err)
}

// caller is on whose behalf upstreams are asked.
func (of Refreshed) caller() oci.Caller {
	return oci.Caller{User: oci.UserRefresh, Spares: of.Above}
}

// cameOf takes note of what came of a tag. The error is one that others would meet as well.
func (r *Refresher) cameOf(ctx context.Context, name string, tag metadata.TagName, moved bool, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	outcome := outcomeOf(moved, err)
	r.Metrics.refreshed(name, outcome)
	if outcome != outcomeRefused {
		return err
	}
	r.Log.Debug("a tag could not be refreshed", "repository", tag.Repository, "tag", tag.Tag, "error", err)
	r.refused(tag)
	return nil
}

// outcomeOf says what came of a tag.
func outcomeOf(moved bool, err error) string {
	switch kind := upstream.KindOf(err); {
	case err == nil && moved:
		return outcomeMoved
	case err == nil:
		return outcomeCurrent
	case upstream.HeldOf(err) != nil:
		return outcomeSpared
	case kind == upstream.NotFound, kind == upstream.Denied, kind == upstream.Invalid, kind == 0 && oci.CodeOf(err) == oci.CodeDenied:
		return outcomeRefused
	}
	return outcomeFailed
}
