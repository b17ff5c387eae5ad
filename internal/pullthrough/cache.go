// Package pullthrough is the cache: a cache project mirrors one upstream registry
// on demand. It serves what is held, asks the upstream as little as the promises
// allow, and never gives out a complete answer whose bytes were not verified.
//
// A tag is fresh for its TTL; past it one HEAD, shared by all askers, decides
// (freshness.go). A blob that is not held is transferred once, by a fill that
// belongs to its digest and never to a request (fill.go).
package pullthrough

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/upstream"
)

// Config is what one cache project is made of.
type Config struct {
	Project  string
	Upstream *upstream.Registry
	// Title is what error texts call the upstream, such as "Docker Hub".
	Title string
	// TagTTL is how long a tag is served without asking upstream.
	TagTTL time.Duration
	// Allows tells whether a repository, by its upstream name, may be fetched.
	Allows func(repository string) bool

	Held *registry.Registry
	DB   *metadata.DB
	// Changes tells when another replica has changed a repository; nil means that there
	// is none.
	Changes *metadata.Changes
	Fills   *Fills
	Metrics *Metrics
	Log     *slog.Logger
	Now     func() time.Time
	Limits  Limits
}

// Limits bounds how long callers and checks wait. Zero fields get the defaults.
type Limits struct {
	// Patience is how long a caller waits for a freshness check or a list while
	// something is held that can be served instead (600 ms).
	Patience time.Duration
	// MovePatience is how long it waits once the upstream has answered that the tag
	// moved, or has been found to be slow with its lists (5 s).
	MovePatience time.Duration
	// Check is the deadline of such a check or list itself, which goes on for the
	// next caller when this one has lost patience (10 s).
	Check time.Duration
	// Fetch is the deadline for fetching manifests and lists (2 min).
	Fetch time.Duration
}

func (l Limits) withDefaults() Limits {
	fill := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	fill(&l.Patience, 600*time.Millisecond)
	fill(&l.MovePatience, 5*time.Second)
	fill(&l.Check, 10*time.Second)
	fill(&l.Fetch, 2*time.Minute)
	return l
}

const (
	// notFoundLife is how long an upstream's not-found is remembered.
	notFoundLife = 10 * time.Second
	// retrySoon is the advice to whoever comes when too much is under way.
	retrySoon = 5 * time.Second
	// visibilityLife is how long the answer to "may strangers see it" stands.
	visibilityLife = time.Hour
	maxTags        = 200_000
	maxNotFound    = 20_000
	maxVisibility  = 50_000
)

// Cache answers for one cache project. It is safe for concurrent use.
type Cache struct {
	Config
	tags     *tags
	notFound *otter.Cache[question, notFound]
	shown    *visibilities
	to       *audiences
	lists    *otter.Cache[digest.Digest, lastList]
	flights  flights
	checks   checks

	life context.Context // of work that outlives its askers
	stop context.CancelFunc
	work sync.WaitGroup
	// fills are those that read from this cache's upstream.
	fills sync.WaitGroup
}

// New makes the cache of one project. Close ends it.
func New(c Config) *Cache {
	c.Limits = c.Limits.withDefaults()
	if c.Changes == nil {
		c.Changes = &metadata.Changes{}
	}
	life, stop := context.WithCancel(context.Background())
	return &Cache{
		Config:   c,
		tags:     newTags(c.Changes),
		notFound: otter.Must(&otter.Options[question, notFound]{MaximumSize: maxNotFound, Executor: inline}),
		shown:    newVisibilities(),
		to:       newAudiences(),
		lists:    otter.Must(&otter.Options[digest.Digest, lastList]{MaximumSize: maxLists, Executor: inline}),
		flights:  flights{running: map[string]*flight{}},
		checks:   checks{running: map[tagKey]*check{}},
		life:     life,
		stop:     stop,
	}
}

// inline runs a cache's upkeep where it falls due: no goroutine is left that nobody
// waits for.
func inline(task func()) { task() }

// Close cancels checks and fetches that are under way, waits for them, and lets no
// other begin. It also waits for the fills that read from its upstream, which go on
// to their end unless Fills is closed first.
func (c *Cache) Close() {
	c.checks.mu.Lock()
	c.flights.mu.Lock()
	c.stop()
	c.flights.mu.Unlock()
	c.checks.mu.Unlock()
	c.work.Wait()
	c.fills.Wait()
}
