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

// blobMediaType is what blobs are served as: their real type is known to whoever
// holds the descriptor.
const blobMediaType = "application/octet-stream"

// useLimit bounds how long a client that asks for a blob waits until that is noted.
const useLimit = 5 * time.Second

// StatBlob describes a blob (OCI Distribution 1.1, §Checking if content exists in
// the registry). The error is BLOB_UNKNOWN when the repository does not link it, and
// also, with ErrDamaged in its chain, when the stored bytes are gone or not as many as
// were stored: then a client that asks before a push sends the blob again, which
// repairs it.
func (r *Registry) StatBlob(ctx context.Context, _ oci.Caller, repo oci.Repository, d digest.Digest) (oci.Descriptor, oci.Served, error) {
	row, err := r.blobRow(ctx, repo, d)
	if errors.Is(err, metadata.ErrNotFound) {
		return oci.Descriptor{}, oci.Served{}, blobUnknown(repo, d, nil)
	}
	if err != nil {
		return oci.Descriptor{}, oci.Served{}, err
	}
	size, err := r.blobs.Stat(ctx, row.Key)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		err = gone(row)
	case err == nil && size != row.Size:
		err = wrongSize(row, origin{}, size)
	case err == nil:
		err = r.use(ctx, repo, d)
		return oci.Descriptor{MediaType: blobMediaType, Digest: d, Size: size}, oci.Served{}, err
	}
	if found, ok := errors.AsType[*damage](err); ok {
		return oci.Descriptor{}, oci.Served{}, blobUnknown(repo, d, r.meet(ctx, found))
	}
	return oci.Descriptor{}, oci.Served{}, fmt.Errorf("looking for blob %s: %w", d, err)
}

// Blob opens a blob (OCI Distribution 1.1, §Pulling blobs); the caller closes it. The
// error is BLOB_UNKNOWN when the repository does not link it; UNKNOWN, with ErrDamaged
// in its chain, when the stored bytes are found to be gone or damaged at once, or were
// before. Whether the rest is good, Verified tells.
func (r *Registry) Blob(ctx context.Context, _ oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error) {
	row, err := r.blobRow(ctx, repo, d)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, oci.Served{}, r.absent(ctx, repo, d)
	}
	if err != nil {
		return nil, oci.Served{}, err
	}
	opened, err := r.openSound(ctx, row)
	switch {
	case errors.Is(err, ErrDamaged):
		return nil, oci.Served{}, refuseDamaged(d, err)
	case errors.Is(err, errChanged):
		return nil, oci.Served{}, &oci.Error{
			Code: oci.CodeUnavailable, RetryAfter: time.Second, Err: err,
			Message: fmt.Sprintf("blob %s is being changed in this registry's storage: try again in a moment", d),
		}
	case err != nil:
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
	opened, err := r.openSound(ctx, row)
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// openSound opens a blob and begins to verify it. What is found damaged at once is set
// aside. Bytes that changed while they were read are looked at once more: somebody else
// may have met the same damage, and has set them aside just now.
func (r *Registry) openSound(ctx context.Context, row metadata.Blob) (*StoredBlob, error) {
	opened, err := r.openVerifying(ctx, row)
	if errors.Is(err, errChanged) {
		return r.openVerifying(ctx, row)
	}
	return opened, err
}

func (r *Registry) openVerifying(ctx context.Context, row metadata.Blob) (*StoredBlob, error) {
	opened, err := r.open(ctx, row, r.openBytes)
	if found, ok := errors.AsType[*damage](err); ok {
		return nil, r.meet(ctx, found)
	}
	if err != nil {
		return nil, err
	}
	if err := opened.begin(ctx); err != nil {
		return nil, errors.Join(err, opened.Close())
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

// absent tells a blob that was never there from one that was found damaged.
func (r *Registry) absent(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	known, err := r.db.Damaged.Get(ctx, repo.String(), d)
	if errors.Is(err, metadata.ErrNotFound) {
		return blobUnknown(repo, d, nil)
	}
	if err != nil {
		return fmt.Errorf("looking up blob %s of %s: %w", d, repo, err)
	}
	return refuseDamaged(d, &damage{row: known.Blob, reason: known.Reason})
}

func (r *Registry) blobRow(ctx context.Context, repo oci.Repository, d digest.Digest) (metadata.Blob, error) {
	row, err := r.db.Blobs.Get(ctx, repo.String(), d)
	if err != nil {
		return metadata.Blob{}, fmt.Errorf("looking up blob %s of %s: %w", d, repo, err)
	}
	return row, nil
}
