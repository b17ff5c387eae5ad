package registry

import (
	"context"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// nearLife is how long bytes that did not change are trusted on a disk, which may
	// lose them without a change; farLife on object storage, which verifies them itself,
	// and where each reading is paid for.
	nearLife = time.Hour
	farLife  = 24 * time.Hour
	// maxSound bounds how many blobs are remembered as verified, about 200 bytes each.
	maxSound = 100_000
	// maxReadings bounds the large blobs that are read back at once.
	maxReadings = 8
)

// soundBlobs remembers which blobs were found good, and shares the work that finds it out
// among all who ask meanwhile.
type soundBlobs struct {
	known *otter.Cache[string, sound] // by storage key
	slots chan struct{}               // one for each reading of a large blob

	mu      sync.Mutex
	running map[reading]*verification
}

// sound is bytes that were found good, and when.
type sound struct {
	identity string
	at       time.Time
}

// reading is what a verification reads: another one when the bytes were changed.
type reading struct {
	key, identity string
	again         bool // to set aside what was found damaged
}

// verification is one reading of a blob, or more. Its err is read once done is closed.
type verification struct {
	done chan struct{}
	err  error
}

func newSoundBlobs() *soundBlobs {
	return &soundBlobs{
		known: otter.Must(&otter.Options[string, sound]{
			MaximumSize: maxSound,
			Executor:    func(task func()) { task() }, // starts no goroutine that nobody waits for
		}),
		slots:   make(chan struct{}, maxReadings),
		running: map[reading]*verification{},
	}
}

// trusts tells whether the bytes were verified lately and have not changed since.
func (s *soundBlobs) trusts(b *StoredBlob, now time.Time) bool {
	last, ok := s.known.GetIfPresent(b.row.Key)
	if !ok || b.identity == "" || last.identity != b.identity {
		return false
	}
	life := farLife
	if b.near {
		life = nearLife
	}
	since := now.Sub(last.at)
	return since >= 0 && since < life
}

func (s *soundBlobs) remember(key, identity string, at time.Time) {
	if identity != "" {
		s.known.Set(key, sound{identity, at})
	}
}

func (s *soundBlobs) forget(key string) { s.known.Invalidate(key) }

// verify reads a blob back together with all who want to know how it is.
func (r *Registry) verify(row metadata.Blob, identity string) *verification {
	return r.share(reading{key: row.Key, identity: identity}, func(ctx context.Context) error { return r.verifyNow(ctx, row) })
}

// share joins the work on a blob that is under way, or begins it. It goes on when those
// who asked have gone, since others will ask again.
func (r *Registry) share(which reading, work func(ctx context.Context) error) *verification {
	s := r.sound
	s.mu.Lock()
	defer s.mu.Unlock()
	if running, ok := s.running[which]; ok {
		return running
	}
	begun := &verification{done: make(chan struct{})}
	if begun.err = r.life.Err(); begun.err != nil { // Close waits for those before it
		close(begun.done)
		return begun
	}
	s.running[which] = begun
	r.work.Go(func() {
		begun.err = work(r.life)
		s.mu.Lock()
		delete(s.running, which)
		s.mu.Unlock()
		close(begun.done)
	})
	return begun
}

// wait waits for the work to end, or for ctx.
func (v *verification) wait(ctx context.Context) error {
	select {
	case <-v.done:
		return v.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
