// Package tier keeps the blobs that are read often in a local folder in front of a
// store that is slower or far away.
//
// It is a blob.Store itself. What is read from its first byte on comes in once for all
// who ask meanwhile, and is kept when it came whole. Whatever goes wrong with the
// folder only means that a blob is not kept: its readers then read from the store
// beneath. Stat and Walk always ask that store, so they tell how it really is.
package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// Config says where hot blobs are kept.
type Config struct {
	// Dir is a local folder for the tier alone. It is made when it is missing; what it
	// holds from before is used again.
	Dir string
	// Size bounds what is kept and what is coming in, in bytes.
	Size int64
	// Metrics counts reads; nil means that nobody does.
	Metrics *Metrics
	// Log hears why blobs are not kept; nil means slog.Default.
	Log *slog.Logger
}

// Store is a blob.Store with its hot blobs in a local folder. It is safe for
// concurrent use; one process at a time may have the folder.
type Store struct {
	blob.Store // beneath
	metrics    *Metrics
	log        *slog.Logger
	shelf      *shelf

	running context.Context // of the fetches
	end     context.CancelFunc
	work    sync.WaitGroup
	mu      sync.Mutex
	fetches map[string]*fetch // by key
	closed  bool
}

var _ blob.Store = (*Store)(nil)

// Open opens the folder in front of the store beneath.
func Open(beneath blob.Store, c Config) (*Store, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	shelf, err := openShelf(c.Dir, c.Size, c.Metrics.kept)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of hot blobs %s: %w", c.Dir, err)
	}
	s := &Store{Store: beneath, metrics: c.Metrics, log: c.Log, shelf: shelf, fetches: map[string]*fetch{}}
	s.running, s.end = context.WithCancel(context.Background())
	return s, nil
}

// Open opens a blob. One that is kept is a file, so that a server can hand it to the
// kernel (sendfile).
func (s *Store) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	return s.OpenDigest(ctx, key, "")
}

// OpenDigest is Open for who knows the blob's digest. What does not have it is not
// kept, and the end of what comes in is given to readers only once it was found to
// have it; otherwise they get a *blob.MismatchError.
func (s *Store) OpenDigest(ctx context.Context, key string, d digest.Digest) (io.ReadSeekCloser, error) {
	if d != "" {
		if err := blob.CheckDigest(d); err != nil {
			return nil, fmt.Errorf("opening blob %.80s: %w", key, err)
		}
	}
	if file := s.shelf.open(key); file != nil {
		s.metrics.hits.Inc()
		return blob.OpenedFile(file), nil
	}
	r := &reader{store: s, ctx: ctx, key: key, digest: d}
	if r.fetch = s.join(key); r.fetch != nil {
		s.metrics.joined.Inc()
		r.size, r.identity = r.fetch.size, r.fetch.identity
		return r, nil
	}
	s.metrics.misses.Inc()
	err := r.openBeneath()
	if err != nil {
		return nil, err
	}
	if r.identity, err = r.Identity(); err == nil {
		r.size, err = r.beneath.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening blob %.80s: %w", key, err), r.beneath.Close())
	}
	return r, nil
}

// Beneath is the store that keeps the blobs.
func (s *Store) Beneath() blob.Store { return s.Store }

// Delete removes a blob, and what is kept of it.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := s.Store.Delete(ctx, key)
	// Also after an error: the blob may be gone nevertheless. And afterwards: what
	// begins to come in from now on finds nothing.
	s.DropCopy(key)
	return err
}

// Close breaks off what is coming in. It may be called again; who reads meanwhile goes
// on from the store beneath.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.work.Wait()
}
