package pullthrough

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// fill is the one transfer of a blob from an upstream. One goroutine reads the
// upstream and appends to a spool; readers follow the spool at their own pace, and
// no reader can slow the fill or another reader. It goes on when its askers have gone.
type fill struct {
	fills  *Fills
	digest digest.Digest
	source source
	payer  oci.Caller   // who began it
	users  atomic.Int64 // who hold the spool open: the transfer and the readers
	began  chan struct{}
	ended  chan struct{} // closed when nothing more is read or stored

	mu       sync.Mutex
	changed  chan struct{} // closed and renewed whenever something below changes
	spool    blob.Spool
	size     int64 // bytes, -1 while unknown
	written  int64 // bytes that are in the spool
	verified bool
	stored   bool              // the blob's row and links are in metadata
	key      string            // of the bytes in storage, once they are committed; the transfer's own
	links    []source          // what has shown the blob
	readers  map[*reader]int64 // how far they are, but for those who have fallen behind
	awaited  bool              // who began the fill has not begun to read it yet
	passing  *passing          // nil while the disk takes what comes
	lead     func()            // gives the lead over the replicas back; nil while another has it
	err      error

	// These are the transfer's own.
	confirmed bool // the source has shown the blob by HEAD
	aside     bool // what comes is not from the upstream
}

func newFill(f *Fills, payer oci.Caller, d digest.Digest, from source) *fill {
	fill := &fill{
		fills: f, digest: d, source: from, payer: payer, size: -1,
		began: make(chan struct{}), ended: make(chan struct{}), changed: make(chan struct{}),
		links: []source{from}, readers: map[*reader]int64{}, awaited: true,
	}
	fill.users.Store(1)
	return fill
}

func (f *fill) hold() { f.users.Add(1) }

// release gives up one hold; the last closes the spool and gives memory back.
func (f *fill) release() {
	if f.users.Add(-1) > 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spool != nil {
		if err := f.spool.Close(); err != nil {
			f.fills.log.Warn("closing a spool", "digest", f.digest, "error", err)
		}
	}
	if f.passing != nil {
		f.fills.memory.give(int64(len(f.passing.window.ring)))
	}
}

// begun waits until the upstream has begun to answer, or has refused.
func (f *fill) begun(ctx context.Context) error {
	select {
	case <-f.began:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shownTo tells whether the source has shown the blob, or is what the fill reads from.
func (f *fill) shownTo(from source) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.links, from)
}

// link makes the blob readable in the source's repository once it is stored.
func (f *fill) link(from source) {
	f.mu.Lock()
	stored := f.stored
	if !slices.Contains(f.links, from) {
		f.links = append(f.links, from)
	}
	f.mu.Unlock()
	if stored {
		f.linkNow(string(from.repository))
	}
}

func (f *fill) linkNow(repo string) {
	if err := f.fills.db.Blobs.Link(f.fills.life, repo, f.digest); err != nil {
		f.fills.log.Warn("a blob was not linked", "digest", f.digest, "repository", repo, "error", err)
	}
}

// run is the life of the fill: transfer, verify, store.
func (f *fill) run(ctx context.Context) {
	defer close(f.ended)
	defer f.giveUpLead()
	project := f.source.cache.Project
	err := f.transfer(ctx)
	if err != nil {
		f.fills.remove(f)
		f.fail(err)
		if !errors.Is(err, errHeld) {
			f.fills.metrics.ended(project, outcome(err))
			f.report(err)
		}
		return
	}
	f.update(func() { f.verified = true })
	if f.passes() {
		f.fills.remove(f)
		f.fills.metrics.ended(project, "passed through")
		return
	}
	err = f.store(context.WithoutCancel(ctx)) // its readers have it whole: it is worth keeping even now
	f.fills.remove(f)
	if err != nil {
		f.fills.metrics.ended(project, "unkept")
		f.fills.log.Error("a verified blob was served but not kept", "digest", f.digest, "upstream", project, "error", err)
		return
	}
	f.fills.noteStored(f.writtenBytes())
	f.fills.metrics.ended(project, "stored")
}

func outcome(err error) string {
	if _, ok := errors.AsType[*blob.MismatchError](err); ok {
		return "wrong digest"
	}
	if errors.Is(err, errAbandoned) {
		return "abandoned"
	}
	return "failed"
}

func (f *fill) report(err error) {
	if f.writtenBytes() == 0 && upstream.KindOf(err) != upstream.Invalid || errors.Is(err, errAbandoned) {
		return // the askers are told, where there are any; nothing was begun
	}
	f.fills.log.Error("a blob transfer failed; every reader was cut off and nothing is kept",
		"digest", f.digest, "upstream", f.source.cache.Project, "repository", string(f.source.repository), "error", err)
}

// fail ends every reader and drops what was received.
func (f *fill) fail(err error) {
	f.update(func() { f.err = err })
	f.markBegun()
	if f.spool == nil {
		return
	}
	if err := f.spool.Cancel(context.WithoutCancel(f.fills.life)); err != nil {
		f.fills.log.Warn("dropping a spool", "digest", f.digest, "error", err)
	}
}

func (f *fill) markBegun() {
	if !f.hasBegun() {
		close(f.began)
	}
}

func (f *fill) hasBegun() bool {
	select {
	case <-f.began:
		return true
	default:
		return false
	}
}

// update changes the state under the lock and wakes all who wait for a change.
func (f *fill) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fill) writtenBytes() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}
