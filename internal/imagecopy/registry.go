package imagecopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// registry is an image in a registry: a source and a destination.
type registry struct {
	*Registries
	image name.Reference
}

func (r *registry) repository() *name.Repository {
	repository := r.image.Context()
	return &repository
}

// at names another manifest or blob of the same repository.
func (r *registry) at(d digest.Digest) name.Digest { return r.image.Context().Digest(d.String()) }

func (r *registry) explain(doing string, what name.Reference, err error) error {
	return explain(doing, what.Name(), r.image.Context().Registry, err)
}

// head asks with HEAD, which no registry counts as a pull, and reads where a registry
// does not say enough to it.
func (r *registry) head(ctx context.Context) (oci.Descriptor, error) {
	d, err := r.puller.Head(ctx, r.image)
	if err == nil {
		return descriptor(*d), nil
	}
	if refused, ok := errors.AsType[*transport.Error](err); ok && refused.StatusCode == http.StatusNotFound {
		return oci.Descriptor{}, r.explain("looking for", r.image, err)
	}
	// A refused HEAD has no text that says why.
	m, err := r.read(ctx, r.image)
	return m.Descriptor(), err
}

func descriptor(d v1.Descriptor) oci.Descriptor {
	return oci.Descriptor{MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size}
}

func (r *registry) read(ctx context.Context, image name.Reference) (oci.Manifest, error) {
	got, err := r.puller.Get(ctx, image)
	if err != nil {
		return oci.Manifest{}, r.explain("reading", image, err)
	}
	return oci.Manifest{MediaType: string(got.MediaType), Digest: digest.Digest(got.Digest.String()), Content: got.Manifest}, nil
}

func (r *registry) top(ctx context.Context) (oci.Manifest, error)      { return r.read(ctx, r.image) }
func (r *registry) readBack(ctx context.Context) (oci.Manifest, error) { return r.read(ctx, r.image) }

func (r *registry) manifest(ctx context.Context, d digest.Digest) (oci.Manifest, error) {
	return r.read(ctx, r.at(d))
}

func (r *registry) blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	l, err := r.puller.Layer(ctx, r.at(d))
	if err != nil {
		return nil, r.explain("reading", r.at(d), err)
	}
	body, err := l.Compressed()
	if err != nil {
		return nil, r.explain("reading", r.at(d), err)
	}
	return body, nil
}

// referrers are those of the referrers API or of its tag, and cosign's tags.
func (r *registry) referrers(ctx context.Context, d digest.Digest) ([]digest.Digest, error) {
	index, err := remote.Referrers(r.at(d), remote.Reuse(r.puller), remote.WithContext(ctx))
	if err != nil {
		return nil, r.explain("listing what refers to", r.at(d), err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading the list of what refers to %s: %w", d, err)
	}
	var all []digest.Digest
	for _, entry := range list.Manifests {
		all = append(all, digest.Digest(entry.Digest.String()))
	}
	return all, nil
}

// holds believes a registry that has a manifest that it has what the manifest refers to:
// that is what it checked when the manifest was pushed.
func (r *registry) holds(ctx context.Context, d digest.Digest) (bool, error) {
	_, err := r.puller.Head(ctx, r.at(d))
	refused, ok := errors.AsType[*transport.Error](err)
	switch {
	case err == nil:
		return true, nil
	case ok && (refused.StatusCode == http.StatusNotFound || refused.StatusCode == http.StatusForbidden || refused.StatusCode == http.StatusUnauthorized):
		return false, nil // a repository that does not exist yet may not be read by everybody
	}
	return false, r.explain("looking for", r.at(d), err)
}

// putBlob lets the registry take the blob from another of its repositories where it is
// known to be in one.
func (r *registry) putBlob(ctx context.Context, b *blob) error {
	var l v1.Layer = layer{b}
	key := written{r.image.Context().Registry, b.Digest}
	if home := b.home(); home != nil && home.Context().Registry == key.registry {
		l = &remote.MountableLayer{Layer: l, Reference: home}
	} else if other, ok := r.stored.Load(key); ok {
		l = &remote.MountableLayer{Layer: l, Reference: other.(name.Reference)}
	}
	if err := r.pusher.Upload(ctx, r.image.Context(), l); err != nil {
		return r.explain("writing", r.at(b.Digest), err)
	}
	r.stored.Store(key, name.Reference(r.at(b.Digest)))
	return nil
}

func (r *registry) putManifest(ctx context.Context, m oci.Manifest) error {
	return r.put(ctx, r.at(m.Digest), m)
}

func (r *registry) put(ctx context.Context, as name.Reference, m oci.Manifest) error {
	if err := r.pusher.Put(ctx, as, typedManifest{manifest{m}}); err != nil {
		return r.explain("writing", as, err)
	}
	return nil
}

// name refuses a digest that the manifest has not.
func (r *registry) name(ctx context.Context, m oci.Manifest) error {
	if as, ok := r.image.(name.Digest); ok && as.DigestStr() != m.Digest.String() {
		return fmt.Errorf("the image has the digest %s, which %s does not name: give a tag", m.Digest, as.Name())
	}
	return r.put(ctx, r.image, m)
}

// typedManifest has the media type under the name that the library looks for.
type typedManifest struct{ manifest }

// MediaType is sent as the Content-Type.
func (m typedManifest) MediaType() (types.MediaType, error) {
	return types.MediaType(m.Manifest.MediaType), nil
}

// cosignTags are names that signatures have where they are not referrers.
func cosignTags(d digest.Digest) []string {
	base := strings.Replace(d.String(), ":", "-", 1)
	return []string{base + ".sig", base + ".att", base + ".sbom"}
}
