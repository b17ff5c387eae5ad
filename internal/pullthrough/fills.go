package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// maxFills bounds the blob transfers that are under way at once, over all caches.
const maxFills = 512

var (
	// errHeld says that no fill is needed: the blob is stored already.
	errHeld = errors.New("the blob is held")
	// errClosed ends fills and their readers when the program stops.
	errClosed = errors.New("the registry is shutting down")
)

// Fills holds the blob transfers under way, one for each digest, shared by all
// cache projects.
type Fills struct {
	blobs      blob.Store
	guard      *blob.Guard
	db         *metadata.DB
	metrics    *Metrics
	log        *slog.Logger
	backoff    func(failures int) time.Duration
	room       Room
	noteStored func(bytes int64)
	window     int64 // bytes of a blob that passes through which are in memory
	memory     *budget
	pace       time.Duration
	detours    atomic.Int64
	peers      Peers

	mu     sync.Mutex
	active map[digest.Digest]*fill

	life context.Context
	stop context.CancelCauseFunc
	work sync.WaitGroup
}

// FillsConfig is what fills need.
type FillsConfig struct {
	Blobs blob.Store
	// Guard is shared with all who store or remove blobs; nil means one of its own.
	Guard   *blob.Guard
	DB      *metadata.DB
	Metrics *Metrics
	Log     *slog.Logger
	// Backoff is the pause before a broken transfer is taken up again for the n-th
	// time in a row; nil doubles from 100 ms to 5 s.
	Backoff func(failures int) time.Duration
	// Room makes room on a full disk; nil: there is none to be made.
	Room Room
	// Stored is told how many bytes a fill has stored; it may be nil.
	Stored func(bytes int64)
	// Window is how much of a blob is held in memory while it passes through for want
	// of room, 256 KiB or more, and Memory what all of them may take, in bytes; zero
	// means 8 MiB and 256 MiB.
	Window, Memory int64
	// Pace is how long a blob that passes through waits with the next 256 KiB for its
	// foremost reader; zero means 250 ms.
	Pace time.Duration
	// Peers are the other replicas; nil: there are none, or each is on its own.
	Peers Peers
}

// NewFills makes an empty set of fills. Close ends it.
func NewFills(c FillsConfig) *Fills {
	if c.Backoff == nil {
		c.Backoff = doubling
	}
	if c.Guard == nil {
		c.Guard = blob.NewGuard()
	}
	if c.Stored == nil {
		c.Stored = func(int64) {}
	}
	if c.Window == 0 {
		c.Window = windowSize
	}
	if c.Memory == 0 {
		c.Memory = windowMemory
	}
	if c.Pace == 0 {
		c.Pace = pacePause
	}
	life, stop := context.WithCancelCause(context.Background())
	return &Fills{
		blobs: c.Blobs, guard: c.Guard, db: c.DB, metrics: c.Metrics, log: c.Log, backoff: c.Backoff,
		room: c.Room, noteStored: c.Stored, window: c.Window, memory: newBudget(c.Memory), pace: c.Pace,
		peers:  c.Peers,
		active: map[digest.Digest]*fill{}, life: life, stop: stop,
	}
}

func doubling(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures-1, 10), 5*time.Second)
}

// Close breaks off the fills under way, and with them their readers, and waits for
// them to end.
func (f *Fills) Close() {
	f.mu.Lock()
	f.stop(errClosed)
	f.mu.Unlock()
	f.work.Wait()
}

// source is where a fill reads from: a repository of one cache's upstream. What it
// shows depends on the cache too: after a reload another has the same repositories,
// and maybe other credentials.
type source struct {
	cache      *Cache
	repository oci.Repository
}

func (s source) open(ctx context.Context, caller oci.Caller, d digest.Digest, offset int64) (*upstream.Body, error) {
	body, err := s.cache.Upstream.Blob(ctx, s.cache.asker(caller, s.repository), s.repository.Rest(), d, offset)
	if err == nil {
		s.cache.noteAnonymousSuccess(ctx, s.repository)
	}
	return body, err
}

// joinOrBegin finds the fill of a digest or begins it; who begins it pays for it. The
// fill is held until release is called.
func (f *Fills) joinOrBegin(caller oci.Caller, d digest.Digest, from source) (joined *fill, began bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running, ok := f.active[d]; ok {
		running.hold()
		return running, false, nil
	}
	if f.life.Err() != nil {
		return nil, false, &oci.Error{Code: oci.CodeUnavailable, Message: fmt.Sprintf("blob %s is not in the cache, and the registry is shutting down: try again in a moment", d), RetryAfter: retrySoon}
	}
	if len(f.active) >= maxFills {
		return nil, false, &oci.Error{
			Code:       oci.CodeUnavailable,
			Message:    fmt.Sprintf("blob %s is not in the cache, and %d transfers from upstream are under way already: try again in a moment", d, len(f.active)),
			RetryAfter: retrySoon,
		}
	}
	begun := newFill(f, caller, d, from)
	begun.hold()
	f.active[d] = begun
	f.metrics.active.Inc()
	from.cache.fills.Add(1)
	f.work.Go(func() {
		defer from.cache.fills.Done()
		defer begun.release()
		defer f.metrics.active.Dec()
		begun.run(f.life)
	})
	return begun, true, nil
}

// sizeShownTo is the size of a blob that is being transferred and that the source has
// shown already.
func (f *Fills) sizeShownTo(from source, d digest.Digest) (size int64, ok bool) {
	f.mu.Lock()
	running, ok := f.active[d]
	f.mu.Unlock()
	if !ok {
		return 0, false
	}
	running.mu.Lock()
	defer running.mu.Unlock()
	return running.size, running.size >= 0 && slices.Contains(running.links, from)
}

// remove ends a fill's being found. Its readers go on.
func (f *Fills) remove(ended *fill) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeLocked(ended)
}

func (f *Fills) removeLocked(ended *fill) {
	if f.active[ended.digest] == ended { // else the next one has begun
		delete(f.active, ended.digest)
	}
}

// abandon removes a fill that nobody but its own transfer holds, and tells whether it was
// so. Nobody can join it any more then.
func (f *Fills) abandon(running *fill) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running.users.Load() > 1 {
		return false
	}
	f.removeLocked(running)
	return true
}
