package pullthrough

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-registry/larder/internal/metadata"
)

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

// discard removes bytes that metadata did not come to know of.
func (f *fill) discard(ctx context.Context) error {
	if f.key == "" {
		return nil
	}
	return f.source.cache.Held.Discard(ctx, f.digest, f.key)
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
