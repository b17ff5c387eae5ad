package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// DeleteManifest removes a manifest and its tags from a repository (OCI Distribution
// 1.1, §Deleting manifests). The error is MANIFEST_UNKNOWN when it is not there, DENIED
// when one of its tags is immutable.
func (r *Registry) DeleteManifest(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	keeps, err := r.keeps(ctx, repo)
	if err != nil {
		return err
	}
	err = r.db.Manifests.Delete(ctx, repo.String(), d, keeps)
	r.hot.forget(repo)
	return deleted(err, manifestUnknown(repo, oci.Reference{Digest: d}), "deleting manifest", repo)
}

// DeleteTag removes a tag and leaves its manifest (OCI Distribution 1.1, §Deleting
// tags). The error is MANIFEST_UNKNOWN when it is not there, DENIED when it is immutable.
func (r *Registry) DeleteTag(ctx context.Context, repo oci.Repository, tag string) error {
	if err := r.keepsTag(ctx, repo, tag); err != nil {
		return err
	}
	err := r.db.Tags.Delete(ctx, repo.String(), tag)
	r.hot.forget(repo)
	return deleted(err, manifestUnknown(repo, oci.Reference{Tag: tag}), "deleting tag "+tag, repo)
}

// actorRetention is who retires, in the history of tags.
const actorRetention = "retention"

// RetireTag removes a tag, provided that nobody set or pinned it since it was read;
// retired tells whether that held. The error is DENIED when it is immutable.
func (r *Registry) RetireTag(ctx context.Context, repo oci.Repository, t metadata.Tag) (retired bool, err error) {
	if err := r.keepsTag(ctx, repo, t.Name); err != nil {
		return false, err
	}
	retired, err = r.db.Tags.Retire(ctx, repo.String(), t, actorRetention)
	r.hot.forget(repo)
	return retired, err
}

// RetireManifest removes a manifest, provided that it has no tag and that nobody pushed,
// pulled or pinned it since it was read; retired tells whether that held.
func (r *Registry) RetireManifest(ctx context.Context, repo oci.Repository, m metadata.ManifestLink) (retired bool, err error) {
	retired, err = r.db.Manifests.Retire(ctx, repo.String(), m)
	r.hot.forget(repo)
	return retired, err
}

// DeleteBlob takes a blob out of a repository; other repositories keep it (OCI
// Distribution 1.1, §Deleting blobs). The error is BLOB_UNKNOWN when it is not there.
func (r *Registry) DeleteBlob(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	return deleted(r.db.Blobs.Unlink(ctx, repo.String(), d), blobUnknown(repo, d, nil), "deleting blob", repo)
}

// Evicted is told that manifests have been taken out of a repository, by whoever did.
func (r *Registry) Evicted(repo oci.Repository) { r.hot.forget(repo) }

func deleted(err, unknown error, doing string, repo oci.Repository) error {
	if errors.Is(err, metadata.ErrNotFound) {
		return unknown
	}
	if err != nil {
		return refusedOr(err, doing+" from "+repo.String())
	}
	return nil
}

// MountBlob makes a blob that one repository links readable in another (OCI
// Distribution 1.1, §Mounting a blob from another repository). The caller has been
// found to have the right to read the source. The error is BLOB_UNKNOWN when the
// source does not link the blob: an upload is the way then. It is DENIED when the project
// has no room for the blob.
func (r *Registry) MountBlob(ctx context.Context, repo, from oci.Repository, d digest.Digest) error {
	if _, _, err := r.StatBlob(ctx, oci.Caller{}, from, d); err != nil {
		return err
	}
	err := r.link(ctx, repo, from, d)
	if errors.Is(err, metadata.ErrNotFound) || errors.Is(err, blob.ErrNotFound) {
		return blobUnknown(from, d, err)
	}
	if err != nil {
		return r.stored(fmt.Sprintf("mounting blob %s of %s", d, from), repo, err)
	}
	return nil
}

// link looks for the blob's bytes once more, now that nobody removes them: eviction on a
// full disk removes those that caches alone hold before their row.
func (r *Registry) link(ctx context.Context, repo, from oci.Repository, d digest.Digest) error {
	defer r.guard.Storing(d)()
	row, err := r.blobRow(ctx, from, d)
	if err != nil {
		return err
	}
	if _, err := r.blobs.Stat(ctx, row.Key); err != nil {
		return err
	}
	return r.db.Blobs.Link(ctx, repo.String(), d)
}
