package gc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
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
	// leastRoom is how much room is made at least on a full disk, in bytes; on a small one,
	// as much as lies between the marks.
	leastRoom = 64 << 20
	// makingRoom bounds how long somebody waits for room.
	makingRoom = 30 * time.Second
	// exhaustedFor is for how long nobody looks again once there was not enough to evict.
	exhaustedFor = 10 * time.Second
	// evictLease is held by the process that evicts. At Lease, which a backup holds so that
	// all bytes stay in their places, an evictor only looks, before each image: the two
	// cannot wait for each other. What one more image takes with it is cached, and a
	// restore finds that it has to be fetched anew.
	evictLease = "evict"
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

// exhaustion is when there was not enough to evict for as many bytes; for 0, nothing.
type exhaustion struct {
	at    time.Time
	bytes int64
}

func (x exhaustion) covers(now time.Time, bytes int64) bool {
	return bytes >= x.bytes && now.Sub(x.at) < exhaustedFor
}

// NewEvictor makes an Evictor.
func NewEvictor(c EvictorConfig) *Evictor {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Evictor{EvictorConfig: c, turn: make(chan struct{}, 1), check: make(chan struct{}, 1)}
}

// errNoTurn says that others evict, or that nobody may.
var errNoTurn = errors.New("nothing may be evicted now")

// exclusively runs fn while nobody else evicts, here or in another process, and nobody
// needs all bytes to stay.
func (e *Evictor) exclusively(ctx context.Context, fn func(context.Context) error) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return errNoTurn
	}
	defer func() { <-e.turn }()
	ran := false
	err := e.DB.Leases.Hold(ctx, metadata.Lease{Name: evictLease, Holder: e.Holder}, leaseLife, func(ctx context.Context) error {
		ran = true
		return fn(ctx)
	})
	switch {
	case errors.Is(err, metadata.ErrLeased):
		return errNoTurn
	case full(err) && !ran: // not even the lease can be written: two that evict at once do no harm
		return fn(ctx)
	}
	return err
}

// full tells whether an error means that a disk, or somebody's share of it, is full.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// MakeRoom evicts until as many bytes are free, and a little more, and tells whether it
// is worth writing again. When all that is cached would not be enough, nothing goes. It
// returns within half a minute; those who come meanwhile wait for the same eviction.
func (e *Evictor) MakeRoom(ctx context.Context, bytes int64) bool {
	if e.Space == nil {
		return false
	}
	before, err := e.Space()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, makingRoom)
	defer cancel()
	worth := false
	err = e.exclusively(ctx, func(ctx context.Context) error {
		now, err := e.Space()
		if err != nil {
			return err
		}
		if now.Free > before.Free && now.Free >= bytes { // somebody else has made it meanwhile
			worth = true
			return nil
		}
		if e.exhausted.covers(e.Now(), bytes) {
			return nil
		}
		least := min(leastRoom, (now.Used+now.Free)/100*(100-lowMark))
		worth, err = e.makeRoom(ctx, max(bytes, least)-now.Free, bytes-now.Free)
		return err
	})
	if err != nil && !errors.Is(err, errNoTurn) {
		e.Log.Warn("making room on a full disk", "error", err)
	}
	return worth
}

// Free tells how many bytes are free on the disk, where that is known.
func (e *Evictor) Free() (bytes int64, known bool) {
	if e.Space == nil {
		return 0, false
	}
	space, err := e.Space()
	return space.Free, err == nil
}

// makeRoom frees wanted bytes, where there are at least as many as needed.
func (e *Evictor) makeRoom(ctx context.Context, wanted, needed int64) (worth bool, err error) {
	cached, err := e.DB.Blobs.CachedSize(ctx)
	if err != nil {
		return false, err
	}
	if cached < needed {
		e.exhausted = exhaustion{e.Now(), needed}
		return false, nil
	}
	freed, err := e.evict(ctx, "the disk is full", e.Now().Add(time.Second), wanted)
	if freed == 0 {
		e.exhausted = exhaustion{at: e.Now()}
	}
	return freed > 0, err
}

// Check measures the cache and evicts when it is over its limit, down to 95 hundredths
// of it. One goroutine calls it.
func (e *Evictor) Check(ctx context.Context) error {
	if err := e.measure(ctx); err != nil {
		return err
	}
	over, err := e.over(e.cached)
	if err != nil || over <= 0 {
		e.warned = e.warned && over > 0
		return err
	}
	e.measured = false
	err = e.exclusively(ctx, func(ctx context.Context) error {
		freed, err := e.evict(ctx, "the cache is over its limit", e.Now().Add(-sparedFor), over)
		if err == nil && freed < over && !e.warned {
			e.warned = true
			e.Log.Warn("the cache is over cacheSize and cannot be made smaller: the rest is pinned, hosted, not Larder's, or was pulled within the last hour", "over", over-freed)
		}
		return err
	})
	if errors.Is(err, errNoTurn) {
		return nil // another process is at it, or a backup: the next check comes soon
	}
	return err
}

// measure adds up what is cached, unless nothing has come since that was last done.
func (e *Evictor) measure(ctx context.Context) error {
	if e.stored.Swap(0) == 0 && e.measured {
		return nil
	}
	cached, err := e.DB.Blobs.CachedSize(ctx)
	if err != nil {
		return err
	}
	e.cached, e.measured = cached, true
	e.Metrics.cached.Set(float64(cached))
	return nil
}

// over tells how many bytes have to go; 0 within the limit.
func (e *Evictor) over(cached int64) (int64, error) {
	if limit := e.Limit.Bytes; limit > 0 {
		if cached <= limit {
			return 0, nil
		}
		return cached - limit/100*lowMark, nil
	}
	if e.Limit.Percent == 0 || e.Space == nil {
		return 0, nil
	}
	space, err := e.Space()
	if err != nil {
		return 0, fmt.Errorf("measuring the file system: %w", err)
	}
	limit := (space.Used + space.Free) / 100 * int64(e.Limit.Percent)
	if space.Used <= limit {
		return 0, nil
	}
	return space.Used - limit/100*lowMark, nil
}

// evict evicts images that were not used since a time until wanted bytes are freed.
func (e *Evictor) evict(ctx context.Context, reason string, unusedSince time.Time, wanted int64) (freed int64, err error) {
	began := e.Now()
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

// heldOff is errNoTurn while somebody needs all bytes to stay where they are.
func (e *Evictor) heldOff(ctx context.Context) error {
	_, err := e.DB.Leases.Get(ctx, Lease)
	switch {
	case errors.Is(err, metadata.ErrNotFound):
		return nil
	case err == nil:
		return errNoTurn
	}
	return err
}

// evictImage removes one image, if that is still the one which was listed.
func (e *Evictor) evictImage(ctx context.Context, s *shelves, listed cachedImage) (freed int64, gone bool, err error) {
	eviction, ok, err := s.eviction(ctx, listed)
	if err != nil || !ok {
		return 0, false, err
	}
	only, err := e.DB.Blobs.CachedOnly(ctx, eviction.Repository, eviction.Blobs)
	if err != nil {
		return 0, false, err
	}
	gone, err = e.DB.Manifests.Evict(ctx, eviction)
	if full(err) {
		// The database cannot even write that they are gone: their bytes make room for it.
		if err := e.dropBytes(ctx, eviction.Repository, only); err != nil {
			return 0, false, err
		}
		gone, err = e.DB.Manifests.Evict(ctx, eviction)
	}
	if err != nil || !gone {
		return 0, false, err
	}
	e.Forget(oci.Repository(eviction.Repository), eviction.Manifests)
	for _, b := range only {
		removed, err := e.Sweeper.Remove(ctx, b, e.Now().Add(time.Second))
		if err != nil {
			return freed, true, err
		}
		if removed {
			freed += b.Size
		}
	}
	return freed, true, nil
}

// dropBytes deletes bytes before metadata forgets them. When that fails in between, the
// cache finds them missing and fetches them anew.
func (e *Evictor) dropBytes(ctx context.Context, repository string, blobs []metadata.Blob) error {
	for _, b := range blobs {
		if err := e.dropBlob(ctx, repository, b); err != nil {
			return err
		}
	}
	return nil
}

func (e *Evictor) dropBlob(ctx context.Context, repository string, b metadata.Blob) error {
	defer e.Sweeper.Guard.Removing(b.Digest)()
	still, err := e.DB.Blobs.CachedOnly(ctx, repository, []digest.Digest{b.Digest})
	if err != nil || len(still) == 0 || still[0].Key != b.Key {
		return err
	}
	if err := e.Sweeper.Blobs.Delete(ctx, b.Key); err != nil {
		return fmt.Errorf("deleting the bytes of blob %s: %w", b.Digest, err)
	}
	return nil
}
