package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// maxBlobSize bounds what one upstream answer may put on the disk, in bytes.
const maxBlobSize = 1 << 40

// fill is the one transfer of a blob from an upstream. One goroutine reads the
// upstream and appends to a spool; readers follow the spool at their own pace, and
// no reader can slow the fill or another reader. It goes on when its askers have gone.
type fill struct {
	fills  *Fills
	digest digest.Digest
	source source
	users  atomic.Int64 // who hold the spool open: the transfer and the readers
	began  chan struct{}

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

func newFill(f *Fills, d digest.Digest, from source) *fill {
	fill := &fill{
		fills: f, digest: d, source: from, size: -1,
		began: make(chan struct{}), changed: make(chan struct{}),
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

// transfer brings the whole blob into the spool and verifies it.
func (f *fill) transfer(ctx context.Context) error {
	if err := f.bring(ctx); err != nil {
		return err
	}
	err := f.verify()
	if _, mismatch := errors.AsType[*blob.MismatchError](err); mismatch {
		return &upstream.Error{Kind: upstream.Invalid, Upstream: f.source.cache.Project, Message: "a blob that is not what it claims to be", Err: err}
	}
	if err != nil {
		return fmt.Errorf("verifying the spool: %w", err)
	}
	return nil
}

// bring appends the whole blob to the spool. The error is errHeld when it is stored.
func (f *fill) bring(ctx context.Context) error {
	if f.fills.peers != nil {
		return f.share(ctx)
	}
	if err := f.fromStorage(ctx); !errors.Is(err, metadata.ErrNotFound) {
		return err
	}
	return f.fetch(ctx)
}

// fetch receives from the upstream what is missing.
func (f *fill) fetch(ctx context.Context) error {
	body, err := f.source.open(ctx, f.digest, f.writtenBytes())
	if err != nil && f.hasBegun() && resumable(err) { // readers count on it
		body, _, err = f.resume(ctx, 0, err)
	}
	if err != nil {
		return err
	}
	if !f.hasBegun() {
		if err := f.open(ctx, body.Size); err != nil {
			_ = body.Close()
			return err
		}
	}
	return f.receive(ctx, body)
}

func (f *fill) verify() error {
	if !f.passes() {
		return f.spool.Verify(f.digest)
	}
	if got := f.passing.outline.digest(); got != f.digest {
		return &blob.MismatchError{Want: f.digest, Got: got}
	}
	return nil
}

// open makes ready for size bytes, or, with -1, for as many as come.
func (f *fill) open(ctx context.Context, size int64) error {
	if size > maxBlobSize {
		return &upstream.Error{Kind: upstream.Invalid, Upstream: f.source.cache.Project, Message: fmt.Sprintf("a blob of %d bytes", size)}
	}
	f.update(func() { f.size = size })
	err := f.openSpool(ctx)
	if full(err) {
		err = f.pass(ctx)
	}
	if err != nil {
		return fmt.Errorf("opening a spool: %w", err)
	}
	f.markBegun()
	return nil
}

func (f *fill) openSpool(ctx context.Context) error {
	if !f.fills.fits(ctx, max(f.size, 0)) {
		return syscall.ENOSPC
	}
	var spool blob.Spool
	err := f.fills.retried(ctx, f.missing, func() (err error) {
		spool, err = f.fills.blobs.Spool(ctx, f.digest.Algorithm())
		return err
	})
	if err != nil {
		return err
	}
	f.update(func() { f.spool = spool })
	return nil
}

// store keeps the verified blob and links it to every repository that showed it.
func (f *fill) store(ctx context.Context) error {
	if f.fills.peers != nil && !f.leads() {
		if stored, err := f.elsewhere(ctx); stored || err != nil {
			return err
		}
	}
	var linked int
	err := f.fills.retried(ctx, rowRoom, func() (err error) { // not within commit: what is evicted waits for its guard
		linked, err = f.commit(ctx)
		return err
	})
	if err != nil {
		return errors.Join(err, f.discard(ctx))
	}
	f.mu.Lock()
	f.stored = true
	f.mu.Unlock()
	for _, repo := range f.linked()[linked:] {
		f.linkNow(repo)
	}
	return nil
}

// commit makes the blob durable and tells how many of those that showed it are linked.
// It may be called again when the disk was full.
func (f *fill) commit(ctx context.Context) (linked int, err error) {
	defer f.fills.guard.Storing(f.digest)()
	if f.key == "" {
		f.key, err = f.spool.Commit(ctx, f.digest)
	} else {
		_, err = f.fills.blobs.Stat(ctx, f.key)
	}
	if err != nil {
		return 0, err
	}
	row := metadata.Blob{Digest: f.digest, Key: f.key, Size: f.writtenBytes()}
	repositories := f.linked()
	if err := f.fills.db.Blobs.Put(ctx, row, repositories...); err != nil {
		return 0, fmt.Errorf("recording blob %s: %w", f.digest, err)
	}
	return len(repositories), nil
}

// discard removes bytes that metadata did not come to know of: they take room that may
// be missing.
func (f *fill) discard(ctx context.Context) error {
	if f.key == "" {
		return nil
	}
	defer f.fills.guard.Removing(f.digest)()
	if _, err := f.fills.db.Blobs.Held(ctx, f.digest); !errors.Is(err, metadata.ErrNotFound) {
		return err
	}
	return f.fills.blobs.Delete(ctx, f.key)
}

// linked lists the repositories that showed the blob, in the order that they came.
func (f *fill) linked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	repositories := make([]string, 0, len(f.links))
	for _, from := range f.links {
		repositories = append(repositories, string(from.repository))
	}
	return repositories
}
