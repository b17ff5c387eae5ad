package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// StatManifest describes a manifest (OCI Distribution 1.1, §Checking if content
// exists in the registry). The error is MANIFEST_UNKNOWN when the repository does
// not link it.
func (r *Registry) StatManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Descriptor, oci.Served, error) {
	m, served, err := r.Manifest(ctx, caller, repo, ref)
	if err != nil {
		return oci.Descriptor{}, served, err
	}
	return m.Descriptor(), served, nil
}

// Manifest reads a manifest (OCI Distribution 1.1, §Pulling manifests). One that was
// read lately costs no query. The caller may not change its content. The error is
// MANIFEST_UNKNOWN when the repository does not link it.
func (r *Registry) Manifest(ctx context.Context, _ oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Manifest, oci.Served, error) {
	if m, ok := r.hot.get(repo, ref); ok {
		return m, oci.Served{}, nil
	}
	epoch := r.hot.epoch(repo)
	m, err := r.readManifest(ctx, repo, ref)
	if errors.Is(err, metadata.ErrNotFound) {
		return oci.Manifest{}, oci.Served{}, manifestUnknown(repo, ref)
	}
	if err != nil {
		return oci.Manifest{}, oci.Served{}, fmt.Errorf("reading manifest %s of %s: %w", ref, repo, err)
	}
	r.hot.set(repo, ref, m, epoch)
	if ref.ByTag() { // whoever resolves a tag asks for its digest next
		r.hot.set(repo, oci.Reference{Digest: m.Digest}, m, epoch)
	}
	return m, oci.Served{}, nil
}

func (r *Registry) readManifest(ctx context.Context, repo oci.Repository, ref oci.Reference) (oci.Manifest, error) {
	if ref.ByTag() {
		m, _, err := r.db.Manifests.GetByTag(ctx, repo.String(), ref.Tag)
		return m, err
	}
	return r.db.Manifests.Get(ctx, repo.String(), ref.Digest)
}
