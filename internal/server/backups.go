package server

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// backups gives out what a backup is made of.
type backups struct {
	db    *metadata.DB
	blobs blob.Store
}

// Dump writes all metadata.
func (b backups) Dump(ctx context.Context, w io.Writer) error {
	_, err := b.db.Dump(ctx, w)
	return err
}

// OpenBlob tells the size that the blob has now: it may be damaged, which whoever
// copies it finds out.
func (b backups) OpenBlob(ctx context.Context, d digest.Digest) (io.ReadCloser, int64, error) {
	held, err := b.db.Blobs.Held(ctx, d)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, 0, fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	if err != nil {
		return nil, 0, err
	}
	content, err := b.blobs.Open(ctx, held.Key)
	if err != nil {
		return nil, 0, err
	}
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("opening blob %s: %w", d, err), content.Close())
	}
	return content, size, nil
}
