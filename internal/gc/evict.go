package gc

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// lowMark is how far an eviction goes down, in hundredths of the limit at which it
	// begins: a registry at its limit would otherwise evict with every pull.
	lowMark = 95
	// sparedFor is how long an image is spared after its last pull when the cache is
	// over its limit: half of what is being pulled is of no use to anybody. A full disk
	// spares nothing.
	sparedFor = time.Hour
)

// Space is what a file system has, in bytes.
type Space struct{ Used, Free int64 }

// Limit is how large the cache may grow. The zero value means without limit.
type Limit struct {
	Bytes   int64 // of cached blobs; 0: not limited so
	Percent int   // of the file system that may be in use, as df has it; 0: not limited so
}

// EvictorConfig is what an Evictor needs.
type EvictorConfig struct {
	DB      *metadata.DB
	Sweeper *Sweeper
	Limit   Limit
	// Space measures the file system that holds the blobs; nil where there is none, as
	// with object storage, whose room is not to be made by evicting.
	Space func() (Space, error)
	// Forget is told of manifests that are gone, for whoever remembers them.
	Forget func(repo oci.Repository, manifests []digest.Digest)
	// Holder names this process among those that share the database.
	Holder  string
	Metrics *EvictionMetrics
	Log     *slog.Logger
	Now     func() time.Time // nil means time.Now
}

// Evictor removes cached images, the least recently pulled first, when the cache is over
// its limit or the disk is full. Hosted and pinned images are never evicted, nor are
// blobs that a hosted project links too. It is safe for concurrent use; one eviction
// runs at a time.
type Evictor struct {
	EvictorConfig
	turn      chan struct{} // held by the eviction that runs
	exhausted exhaustion    // belongs to who has the turn
	stored    atomic.Int64  // bytes since the last check
	check     chan struct{} // has an element when many bytes have come

	// These belong to Check.
	cached   int64 // bytes, when measured
	measured bool
	warned   bool // that the cache is over its limit all the same
}

// NewEvictor makes an Evictor.
func NewEvictor(c EvictorConfig) *Evictor {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Evictor{EvictorConfig: c, turn: make(chan struct{}, 1), check: make(chan struct{}, 1)}
}

// evict evicts images that were not used since a time until wanted bytes are freed.
func (e *Evictor) evict(ctx context.Context, reason string, unusedSince time.Time, wanted int64) (freed int64, err error) {
	began := e.Now()
	if err := e.Sweeper.ours(ctx); err != nil {
		return 0, err
	}
	shelves := &shelves{db: e.DB, contents: map[digest.Digest]references{}}
	images, err := shelves.images(ctx)
	if err != nil {
		return 0, err
	}
	evicted := 0
	for _, image := range images {
		if freed >= wanted || image.used.After(unusedSince) || ctx.Err() != nil {
			break
		}
		if err = e.heldOff(ctx); err != nil {
			break
		}
		bytes, gone, failure := e.evictImage(ctx, shelves, image)
		freed += bytes
		if gone {
			evicted++
		}
		if err = failure; err != nil {
			break
		}
	}
	e.Metrics.evicted.Add(float64(evicted))
	e.Metrics.freed.Add(float64(freed))
	if evicted > 0 || freed > 0 {
		e.Log.Info("evicted cached images", "reason", reason, "images", evicted, "bytes", freed, "wanted", wanted, "took", e.Now().Sub(began).String())
	}
	return freed, err
}
