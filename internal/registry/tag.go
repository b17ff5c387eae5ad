package registry

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// maxTagged bounds how many manifests one call of Tag takes along to another repository.
const maxTagged = 1000

// Tagging asks for a tag to name an image of a hosted repository, which the caller has
// been found to have the right to read.
type Tagging struct {
	Source    oci.Repository
	Reference oci.Reference
	Target    oci.Repository
	Tag       string
	Actor     string // on whose behalf, for the tag's history
}

// Tag points a tag to an image of the same repository or of another one. In another one
// all that the image refers to is made readable first, the manifests of an index
// included; no bytes are copied. What refers to the image, as signatures do, stays behind.
// Errors: MANIFEST_UNKNOWN without the image, MANIFEST_BLOB_UNKNOWN when parts of it are
// missing, DENIED when the tag is immutable or the target's project has no room,
// NAME_UNKNOWN without the target's project.
func (r *Registry) Tag(ctx context.Context, t Tagging) (digest.Digest, error) {
	image, err := r.heldManifest(ctx, t.Source, t.Reference)
	if err != nil {
		return "", err
	}
	if t.Source != t.Target {
		if _, err := r.db.Projects.Get(ctx, t.Target.Project()); err != nil {
			return "", r.stored("tagging", t.Target, err)
		}
		taken := &taking{Registry: r, Tagging: t, seen: map[digest.Digest]bool{image.Digest: true}}
		if err := taken.references(ctx, image); err != nil {
			return "", err
		}
	}
	receipt, err := r.putManifest(ctx, t.Target, ManifestPush{
		Reference: oci.Reference{Digest: image.Digest}, Tags: []string{t.Tag},
		MediaType: image.MediaType, Content: image.Content, Actor: t.Actor,
	})
	return receipt.Digest, err
}

func (r *Registry) heldManifest(ctx context.Context, repo oci.Repository, ref oci.Reference) (oci.Manifest, error) {
	m, _, err := r.Manifest(ctx, oci.Caller{}, repo, ref)
	return m, err
}

// taking is a Tag at work on another repository.
type taking struct {
	*Registry
	Tagging
	seen map[digest.Digest]bool // manifests
}

// references makes all that a manifest refers to readable in the target: blobs, and
// manifests with what they refer to before themselves.
func (t *taking) references(ctx context.Context, m oci.Manifest) error {
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return err
	}
	for _, d := range content.Blobs() {
		err := t.MountBlob(ctx, t.Target, t.Source, d)
		if oci.CodeOf(err) == oci.CodeBlobUnknown {
			return contentUnknown(t.Source, &metadata.MissingError{Blobs: []digest.Digest{d}})
		}
		if err != nil {
			return err
		}
	}
	for _, child := range children(content) {
		if err := t.manifest(ctx, child); err != nil {
			return err
		}
	}
	return nil
}

func (t *taking) manifest(ctx context.Context, d digest.Digest) error {
	if t.seen[d] {
		return nil
	}
	if len(t.seen) == maxTagged {
		return &oci.Error{
			Code:    oci.CodeManifestInvalid,
			Message: fmt.Sprintf("%s@%s lists more than %d manifests, the limit: copy it with larder copy", t.Source, t.Reference, maxTagged),
		}
	}
	t.seen[d] = true
	m, err := t.heldManifest(ctx, t.Source, oci.Reference{Digest: d})
	if oci.CodeOf(err) == oci.CodeManifestUnknown {
		return contentUnknown(t.Source, &metadata.MissingError{Manifests: []digest.Digest{d}})
	}
	if err != nil {
		return err
	}
	if err := t.references(ctx, m); err != nil {
		return err
	}
	_, err = t.putManifest(ctx, t.Target, ManifestPush{Reference: oci.Reference{Digest: d}, MediaType: m.MediaType, Content: m.Content, Actor: t.Actor})
	return err
}
