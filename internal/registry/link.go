package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// linkLife is how long the address of a blob may be used to begin reading it.
const linkLife = 5 * time.Minute

// linker is a driver whose blobs others can read with an address that it signs.
type linker interface {
	Link(ctx context.Context, key string, life time.Duration) (string, error)
}

// BlobLink tells a blob's size in bytes, and an address from which whoever has it can
// read the blob for some minutes without asking Larder, and without Larder having
// verified what they get. It is "" when clients are not to be sent elsewhere, and when
// the repository does not have the blob or its stored bytes are not as many as they
// should be, which Blob then explains.
func (r *Registry) BlobLink(ctx context.Context, repo oci.Repository, d digest.Digest) (link string, size int64, err error) {
	driver, ok := blob.As[linker](r.blobs)
	if !ok || !r.redirect {
		return "", 0, nil
	}
	row, err := r.blobRow(ctx, repo, d)
	if errors.Is(err, metadata.ErrNotFound) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	found, err := r.blobs.Stat(ctx, row.Key)
	if errors.Is(err, blob.ErrNotFound) || err == nil && found != row.Size {
		return "", 0, nil
	}
	if err == nil {
		link, err = driver.Link(ctx, row.Key, linkLife)
	}
	if err != nil {
		return "", 0, fmt.Errorf("making an address for blob %s: %w", d, err)
	}
	return link, row.Size, nil
}
