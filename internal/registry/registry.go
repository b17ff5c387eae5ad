// Package registry keeps hosted repositories: it reads, pushes, tags, mounts and
// deletes manifests and blobs, lists them, and leads upload sessions. It knows no
// HTTP and decides nobody's rights. A blob is readable in a repository only where
// that repository links it.
package registry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// Config is what a Registry stands on.
type Config struct {
	DB    *metadata.DB
	Blobs blob.Store
	// Guard is shared with all who store or remove blobs; nil means one of its own.
	Guard *blob.Guard
	// Room is that of the blobs' disk; nil: nothing is known of it, and none is made.
	Room Room
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log hears of damaged blobs; nil means slog.Default.
	Log *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
	// Redirect lets BlobLink give addresses of storage.
	Redirect bool
	// HotManifests is how many bytes of manifests are kept in memory; zero means 64 MiB.
	HotManifests uint64
}

// Registry answers for hosted repositories, and for what cache projects hold. It is
// safe for concurrent use.
type Registry struct {
	db       *metadata.DB
	blobs    blob.Store
	guard    *blob.Guard
	room     Room
	now      func() time.Time
	log      *slog.Logger
	redirect bool
	hot      *hotManifests
	sessions *sessions
	probe    sync.Mutex // one probe stores its image, others wait for it
	metrics  *Metrics
	sound    *soundBlobs
	// platforms are those of single images, by the digests of their configurations.
	platforms *otter.Cache[digest.Digest, string]
	// deletions counts the projects that this process has deleted.
	deletions atomic.Uint64

	life context.Context // of readings that outlive who asked for them
	stop context.CancelCauseFunc
	work sync.WaitGroup
}

// errClosed ends readings when the program stops.
var errClosed = errors.New("the registry is shutting down")

// New makes a Registry. Close ends it.
func New(c Config) *Registry {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Guard == nil {
		c.Guard = blob.NewGuard()
	}
	if c.Room == nil {
		c.Room = noRoom{}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.HotManifests == 0 {
		c.HotManifests = defaultHotManifests
	}
	if c.Metrics == nil {
		c.Metrics = newMetrics()
	}
	life, stop := context.WithCancelCause(context.Background())
	return &Registry{
		db:       c.DB,
		blobs:    c.Blobs,
		guard:    c.Guard,
		room:     c.Room,
		now:      c.Now,
		log:      c.Log,
		redirect: c.Redirect,
		hot:      newHotManifests(c.HotManifests, c.DB.Changes),
		sessions: newSessions(c.DB),
		metrics:  c.Metrics,
		sound:    newSoundBlobs(),
		platforms: otter.Must(&otter.Options[digest.Digest, string]{
			MaximumSize: maxKnownPlatforms,
			Executor:    func(task func()) { task() }, // starts no goroutine that nobody waits for
		}),
		life: life,
		stop: stop,
	}
}

// Close breaks off the readings of blobs that are being verified, and waits for them.
// It may be called again.
func (r *Registry) Close() {
	r.sound.mu.Lock()
	r.stop(errClosed)
	r.sound.mu.Unlock()
	r.work.Wait()
}
