package distribution

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Manifests reads the manifests of a project.
type Manifests interface {
	StatManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Descriptor, oci.Served, error)
	Manifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Manifest, oci.Served, error)
}

// Blobs reads the blobs of a project.
type Blobs interface {
	StatBlob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Descriptor, oci.Served, error)
	Blob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error)
}

// Lists lists what a project's repositories hold.
type Lists interface {
	Tags(ctx context.Context, caller oci.Caller, repo oci.Repository, page oci.TagPage) (oci.TagList, oci.Served, error)
	// Referrers returns an image index as JSON, and whether it was filtered.
	Referrers(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest, artifactType string) (index []byte, filtered bool, served oci.Served, err error)
}

// Deleter deletes from a hosted project, or evicts from a cache project.
type Deleter interface {
	DeleteManifest(ctx context.Context, repo oci.Repository, d digest.Digest) error
	DeleteTag(ctx context.Context, repo oci.Repository, tag string) error
	DeleteBlob(ctx context.Context, repo oci.Repository, d digest.Digest) error
}

// Images is what hosted projects and cache projects both answer. The oci.Served of an
// answer counts also when there is an error.
type Images interface {
	Manifests
	Blobs
	Lists
	Deleter
}

// Target is what the name in a request means.
type Target struct {
	Repository oci.Repository
	// Kind is "" when there is no such project; Images is nil then.
	Kind   metadata.Kind
	Images Images
	// Namespace is the ns parameter that was used to find the project, "" when none was.
	Namespace string
	// Open says that everybody may pull it, whatever roles say.
	Open bool
}

// Resolver finds out what names mean.
type Resolver interface {
	// Resolve finds the repository and its project for a name that follows the
	// grammar. An ns that is not empty says that the name is the one which the
	// registry of that host uses. A project that does not exist is no error. The
	// error is an *oci.Error: NAME_INVALID, or NAME_UNKNOWN for an unknown ns.
	Resolve(ctx context.Context, name, ns string) (Target, error)
}
