package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// ManifestPush is a manifest to be stored.
type ManifestPush struct {
	Reference oci.Reference
	Tags      []string // further tags for the same manifest
	MediaType string   // the Content-Type it came with, may be empty
	Content   []byte
	Actor     string // who pushes, for the tags' history
}

// ManifestReceipt tells what a push has stored.
type ManifestReceipt struct {
	Digest  digest.Digest
	Subject digest.Digest // "" when the manifest has no subject
	Tags    []string
}

// PutManifest stores a manifest byte for byte and points tags to it, in one
// transaction (OCI Distribution 1.1, §Pushing manifests). Everything it refers to
// must be in the repository, except its subject. Errors: MANIFEST_INVALID,
// DIGEST_INVALID, TOO_LARGE, MANIFEST_BLOB_UNKNOWN, NAME_UNKNOWN without a project, DENIED
// when a tag is immutable and names another manifest or when the project takes more than
// its quota.
func (r *Registry) PutManifest(ctx context.Context, repo oci.Repository, push ManifestPush) (ManifestReceipt, error) {
	if err := r.checkManifestQuota(ctx, repo); err != nil {
		return ManifestReceipt{}, err
	}
	return r.putManifest(ctx, repo, push)
}

func (r *Registry) putManifest(ctx context.Context, repo oci.Repository, push ManifestPush) (ManifestReceipt, error) {
	if len(push.Content) > oci.MaxManifestSize {
		return ManifestReceipt{}, &oci.Error{
			Code:    oci.CodeTooLarge,
			Message: fmt.Sprintf("the manifest has more than %d bytes, the limit", oci.MaxManifestSize),
		}
	}
	d, err := manifestDigest(push.Reference, push.Content)
	if err != nil {
		return ManifestReceipt{}, err
	}
	content, err := oci.ParseManifest(push.MediaType, push.Content)
	if err != nil {
		return ManifestReceipt{}, err
	}
	receipt := ManifestReceipt{Digest: d, Tags: push.Tags}
	if push.Reference.ByTag() {
		receipt.Tags = append([]string{push.Reference.Tag}, push.Tags...)
	}
	if content.Subject != nil {
		receipt.Subject = content.Subject.Digest
	}
	keeps, err := r.keeps(ctx, repo)
	if err != nil {
		return ManifestReceipt{}, err
	}
	r.roomForRows(ctx)
	err = r.db.Manifests.Put(ctx, metadata.PutManifest{
		Repository: repo.String(),
		Manifest: metadata.Manifest{
			Manifest:     oci.Manifest{MediaType: content.MediaType, Digest: d, Content: push.Content},
			Subject:      receipt.Subject,
			ArtifactType: content.ArtifactType,
		},
		Blobs:     content.Blobs(),
		Manifests: children(content),
		Tags:      receipt.Tags,
		Actor:     push.Actor,
		Keeps:     keeps,
		Pushed:    true,
	})
	r.hot.forget(repo)
	if missing, ok := errors.AsType[*metadata.MissingError](err); ok {
		return ManifestReceipt{}, contentUnknown(repo, missing)
	}
	if err != nil {
		return ManifestReceipt{}, r.stored("storing manifest "+d.String(), repo, err)
	}
	return receipt, nil
}

// manifestDigest is the digest that was pushed to, once verified; by tag it is sha256.
func manifestDigest(ref oci.Reference, content []byte) (digest.Digest, error) {
	if ref.ByTag() {
		return digest.SHA256.FromBytes(content), nil
	}
	got := ref.Digest.Algorithm().FromBytes(content)
	if got != ref.Digest {
		return "", &oci.Error{
			Code:    oci.CodeDigestInvalid,
			Message: fmt.Sprintf("the manifest has digest %s, not %s", got, ref.Digest),
			Detail:  map[string]string{"digest": ref.Digest.String()},
		}
	}
	return got, nil
}

func children(content oci.Content) []digest.Digest {
	all := make([]digest.Digest, 0, len(content.Manifests))
	for _, child := range content.Manifests {
		all = append(all, child.Digest)
	}
	return all
}

// contentUnknown refuses a manifest that refers to what its repository does not have.
// A subject may be missing (OCI Distribution 1.1, §Push).
func contentUnknown(repo oci.Repository, lacks *metadata.MissingError) error {
	what, missing := "blob", lacks.Blobs
	if len(missing) == 0 {
		what, missing = "manifest", lacks.Manifests
	}
	others := ""
	if n := len(missing) - 1; n > 0 {
		others = fmt.Sprintf(" and %d more", n)
	}
	const most = 100
	return &oci.Error{
		Code:    oci.CodeManifestBlobUnknown,
		Message: fmt.Sprintf("the manifest refers to %s %s%s, which repository %s does not have: push what it refers to first", what, missing[0], others, repo),
		Detail:  map[string][]digest.Digest{"missing": missing[:min(len(missing), most)]},
	}
}
