package backup

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// keys are where blobs are kept now.
type keys struct {
	mu  sync.Mutex
	now map[digest.Digest]string
}

func (k *keys) set(d digest.Digest, key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now[d] = key
}

func (k *keys) of(b metadata.Blob) (string, error) {
	key, kept := k.now[b.Digest]
	if !kept {
		return "", metadata.ErrLeaveOut
	}
	return key, nil
}

// Restore fills an empty database and its storage with a dump and the blobs that it
// names. Without an archive the blobs are in the storage already, under the keys that
// the dump has. The metadata comes last, so that what was broken off is no registry.
// Blobs that are lost are left out, and the report names them; see FindAffected.
func Restore(ctx context.Context, d *Dump, from Archive, db *metadata.DB, to blob.Store, progress Progress) (Report, error) {
	empty, err := db.Empty(ctx)
	if err != nil {
		return Report{}, err
	}
	if !empty {
		return Report{}, fmt.Errorf("%w: restore into an empty one", metadata.ErrNotEmpty)
	}
	var c collector
	now := keys{now: make(map[digest.Digest]string)}
	if from == nil {
		err = c.lookFor(ctx, d, to, &now, progress)
	} else {
		err = c.restore(ctx, d, from, to, &now, progress)
	}
	if err != nil {
		return c.report, err
	}
	return c.report, d.load(ctx, db, now.of)
}

// restore copies the blobs of an archive into a store.
func (c *collector) restore(ctx context.Context, d *Dump, from Archive, to blob.Store, now *keys, progress Progress) error {
	done := progress("restoring blobs", d.Blobs())
	return d.each(ctx, func(ctx context.Context, b metadata.Blob) error {
		defer done()
		return c.copy(ctx, b, archived{from}, func(r io.Reader) error {
			key, err := store(ctx, to, b.Digest, r)
			if err == nil {
				now.set(b.Digest, key)
			}
			return err
		})
	})
}

// lookFor finds the blobs that are in the store already.
func (c *collector) lookFor(ctx context.Context, d *Dump, in blob.Store, now *keys, progress Progress) error {
	done := progress("looking for blobs", d.Blobs())
	return d.each(ctx, func(ctx context.Context, b metadata.Blob) error {
		defer done()
		size, err := in.Stat(ctx, b.Key)
		if err == nil && size != b.Size {
			err = fmt.Errorf("%w: it has %d bytes", blob.ErrNotFound, size)
		}
		switch {
		case err == nil:
			now.set(b.Digest, b.Key)
			c.add(func(r *Report) { r.Held++ })
		case lost(err):
			c.lose(b, err)
		default:
			return fmt.Errorf("looking for blob %s: %w", b.Digest, err)
		}
		return nil
	})
}

// archived is a Source in an archive.
type archived struct{ archive Archive }

func (a archived) Open(ctx context.Context, b metadata.Blob) (io.ReadCloser, error) {
	return a.archive.Open(ctx, b.Digest)
}

// load fills a database with the dump.
func (d *Dump) load(ctx context.Context, db *metadata.DB, keys func(metadata.Blob) (string, error)) error {
	f, err := os.Open(d.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = db.Load(ctx, f, keys)
	return err
}
