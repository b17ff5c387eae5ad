package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// blobMediaType is what blobs are served as: their real type is known to whoever
// holds the descriptor.
const blobMediaType = "application/octet-stream"

// useLimit bounds how long a client that asks for a blob waits until that is noted.
const useLimit = time.Second

// StatBlob describes a blob (OCI Distribution 1.1, §Checking if content exists in
// the registry). The error is BLOB_UNKNOWN when the repository does not link it, and
// also, with ErrDamaged in its chain, when the stored bytes are gone: then a client
// that asks before a push sends the blob again, which repairs it.
func (r *Registry) StatBlob(ctx context.Context, _ oci.Caller, repo oci.Repository, d digest.Digest) (oci.Descriptor, oci.Served, error) {
	row, err := r.blobRow(ctx, repo, d)
	if err != nil {
		return oci.Descriptor{}, oci.Served{}, err
	}
	size, err := r.blobs.Stat(ctx, row.Key)
	if errors.Is(err, blob.ErrNotFound) {
		size, err = -1, nil
	}
	if err != nil {
		return oci.Descriptor{}, oci.Served{}, fmt.Errorf("looking for blob %s: %w", d, err)
	}
	if size != row.Size {
		return oci.Descriptor{}, oci.Served{}, blobUnknown(repo, d, r.damaged(row, size))
	}
	if err := r.use(ctx, repo, d); err != nil {
		return oci.Descriptor{}, oci.Served{}, err
	}
	return oci.Descriptor{MediaType: blobMediaType, Digest: d, Size: size}, oci.Served{}, nil
}

// Blob opens a blob (OCI Distribution 1.1, §Pulling blobs); the caller closes it. Its
// size on disk is checked before anything is answered. The error is BLOB_UNKNOWN when
// the repository does not link it; UNKNOWN, with ErrDamaged in its chain, when the
// stored bytes are gone or short.
func (r *Registry) Blob(ctx context.Context, _ oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error) {
	row, err := r.blobRow(ctx, repo, d)
	if err != nil {
		return nil, oci.Served{}, err
	}
	opened, err := r.open(ctx, row)
	if errors.Is(err, ErrDamaged) {
		return nil, oci.Served{}, &oci.Error{
			Code:    oci.CodeUnknown,
			Message: fmt.Sprintf("blob %s is damaged in this registry's storage: tell its operator to run larder fsck, or push the image again", d),
			Err:     err,
		}
	}
	if err != nil {
		return nil, oci.Served{}, err
	}
	return opened, oci.Served{}, nil
}

// StoredBlob opens a blob that is stored, whether any repository links it or not: the
// caller has found that it may be read. The error has metadata.ErrNotFound or ErrDamaged
// in its chain when it cannot be had.
func (r *Registry) StoredBlob(ctx context.Context, d digest.Digest) (oci.Blob, error) {
	row, err := r.db.Blobs.Held(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("looking up blob %s: %w", d, err)
	}
	opened, err := r.open(ctx, row)
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// use keeps the collector from taking a blob that a client is told of: it will push a
// manifest with it and not the blob. Where that cannot be written, the client is told all
// the same: a registry that can only read is read, and the push itself checks again.
func (r *Registry) use(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	writing, cancel := context.WithTimeout(ctx, useLimit)
	defer cancel()
	err := r.db.Blobs.Use(writing, repo.String(), d)
	if errors.Is(err, metadata.ErrNotFound) {
		return blobUnknown(repo, d, nil)
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("it was not noted that a blob is used", "digest", d, "repository", repo, "error", err)
	}
	return nil
}

func (r *Registry) blobRow(ctx context.Context, repo oci.Repository, d digest.Digest) (metadata.Blob, error) {
	row, err := r.db.Blobs.Get(ctx, repo.String(), d)
	if errors.Is(err, metadata.ErrNotFound) {
		return metadata.Blob{}, blobUnknown(repo, d, nil)
	}
	if err != nil {
		return metadata.Blob{}, fmt.Errorf("looking up blob %s of %s: %w", d, repo, err)
	}
	return row, nil
}

// open opens a blob's bytes and holds their number against the row.
func (r *Registry) open(ctx context.Context, row metadata.Blob) (*StoredBlob, error) {
	content, err := r.blobs.Open(ctx, row.Key)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, r.damaged(row, -1)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", row.Digest, err)
	}
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil && size != row.Size {
		err = r.damaged(row, size)
	}
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = content.Close()
		return nil, fmt.Errorf("opening blob %s: %w", row.Digest, err)
	}
	return &StoredBlob{ReadSeekCloser: content, size: size}, nil
}

// damaged logs and describes a blob whose bytes are gone (size -1) or short. Its row
// is left for fsck.
func (r *Registry) damaged(row metadata.Blob, size int64) error {
	r.log.Error("a stored blob is damaged or gone", "digest", row.Digest, "key", row.Key, "size", row.Size, "found", size)
	if size < 0 {
		return fmt.Errorf("blob %s, %d bytes, is not in storage: %w", row.Digest, row.Size, ErrDamaged)
	}
	return fmt.Errorf("blob %s has %d bytes in storage and not %d: %w", row.Digest, size, row.Size, ErrDamaged)
}

// StoredBlob is a blob whose bytes were verified when they were stored. It is an
// oci.Blob.
type StoredBlob struct {
	io.ReadSeekCloser
	size int64
}

// Size is the blob's length in bytes.
func (b *StoredBlob) Size() int64 { return b.size }

// Verified returns nil at once.
func (b *StoredBlob) Verified(context.Context) error { return nil }

// Stored gives the driver's own reader, so that a file can go to a socket without
// passing through this process.
func (b *StoredBlob) Stored() io.ReadSeeker { return b.ReadSeekCloser }
