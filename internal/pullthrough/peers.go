package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/sleep"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// peerPatience is how long this replica waits for another that says it is at work
	// and shows nothing of it, before it does the work itself. It is longer than the
	// lease of a replica that was killed.
	peerPatience = 20 * time.Second
	// firstPeerPause and longestPeerPause bound the pauses between looks at what
	// another replica does, which double.
	firstPeerPause   = 10 * time.Millisecond
	longestPeerPause = 250 * time.Millisecond
	// fillBegins is how long another replica is kept waiting for the upstream's answer
	// before it has to ask again.
	fillBegins = 5 * time.Second
)

var (
	// ErrLed is what Peers.Lead returns when another replica does the work.
	ErrLed = errors.New("another replica does it")
	// ErrNotFilling is returned for a blob that this replica does not receive from an
	// upstream.
	ErrNotFilling = errors.New("this replica does not receive the blob")
)

// Peers are the other replicas on the same database and storage.
type Peers interface {
	// Lead makes a piece of work this replica's, until release is called. ErrLed in the
	// chain says that it is another's.
	Lead(ctx context.Context, work string) (release func(), err error)
	// Follow opens what the replica that leads a blob's fill has received and will
	// receive, from offset on. The caller closes the body.
	Follow(ctx context.Context, d digest.Digest, offset int64) (*upstream.Body, error)
}

// FillWork is the name of a blob's fill as a piece of work.
func FillWork(d digest.Digest) string { return "fill/" + d.String() }

// Follow opens a blob that this replica receives from an upstream, for another replica
// that wants the same and has found out that it may have it. The error has
// ErrNotFilling in its chain when there is no such transfer, or not any more.
func (f *Fills) Follow(ctx context.Context, d digest.Digest) (oci.Blob, error) {
	f.mu.Lock()
	running, ok := f.active[d]
	if ok {
		running.hold()
	}
	f.mu.Unlock()
	if !ok {
		return nil, ErrNotFilling
	}
	defer running.release()
	if !running.leads() {
		return nil, ErrNotFilling
	}
	beginning, cancel := context.WithTimeout(ctx, fillBegins)
	defer cancel()
	if err := running.begun(beginning); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFilling, err)
	}
	return running.reader(ctx, running.payer, running.source), nil
}

// once fetches something on one replica at a time. Who comes second, here or on another
// replica, finds what the first has fetched, or fetches by itself when that takes too long
// or failed.
func once[T any](ctx context.Context, c *Cache, work string, find func(context.Context) (T, bool, error), fetch func(context.Context) (T, error)) (T, error) {
	if c.Fills == nil || c.Fills.peers == nil {
		if got, found, err := find(ctx); found || err != nil {
			return got, err
		}
		return fetch(ctx)
	}
	began := time.Now()
	for pause := firstPeerPause; ; pause = min(2*pause, longestPeerPause) {
		release, failure := c.Fills.peers.Lead(ctx, work)
		if failure == nil {
			defer release()
		}
		// Another replica may have ended just before.
		if got, found, err := find(ctx); found || err != nil {
			return got, err
		}
		if !errors.Is(failure, ErrLed) || time.Since(began) > peerPatience {
			return fetch(ctx)
		}
		if err := sleep.For(ctx, pause); err != nil {
			var none T
			return none, err
		}
	}
}
