package registry

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// mediaTypeDockerLayerPlain is a layer of Docker schema 2 that is not compressed.
const mediaTypeDockerLayerPlain = "application/vnd.docker.image.rootfs.diff.tar"

// outline tells how much is here of what a tag names, in bytes, and which images it is.
// What cannot be read as an image has the size of its manifest: caches keep whatever their
// upstream sends.
func (r *Registry) outline(ctx context.Context, repo oci.Repository, l metadata.ManifestLink) (size int64, images []ImageInfo, err error) {
	m, err := r.heldManifest(ctx, repo, oci.Reference{Digest: l.Digest})
	if oci.CodeOf(err) == oci.CodeManifestUnknown {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	switch {
	case err != nil:
		return int64(len(m.Content)), nil, nil //nolint:nilerr // whatever it is, it is here
	case content.Index():
		return r.outlineIndex(ctx, repo, m, content)
	}
	image := single(l, m, content)
	image.Platform = r.platform(ctx, repo, content)
	return image.Size, []ImageInfo{image}, nil
}

// outlineIndex is outline for an index. What it lists and is not for a platform, such as
// an attestation, is no image but takes space.
func (r *Registry) outlineIndex(ctx context.Context, repo oci.Repository, m oci.Manifest, content oci.Content) (size int64, images []ImageInfo, err error) {
	links, err := r.linksOf(ctx, repo, content.Manifests)
	if err != nil {
		return 0, nil, err
	}
	size = int64(len(m.Content))
	for _, child := range content.Manifests {
		image := ImageInfo{Digest: child.Digest}
		if l, held := links[child.Digest]; held {
			if image, err = r.held(ctx, repo, l); err != nil {
				return 0, nil, err
			}
		}
		size += image.Size
		if child.OS == "" || child.OS == "unknown" {
			continue
		}
		image.Platform = platformText(child.OS, child.Architecture, child.Variant)
		images = append(images, image)
	}
	return size, images, nil
}

func (r *Registry) linksOf(ctx context.Context, repo oci.Repository, children []oci.Platform) (map[digest.Digest]metadata.ManifestLink, error) {
	digests := make([]digest.Digest, 0, len(children))
	for _, child := range children {
		digests = append(digests, child.Digest)
	}
	all, err := r.db.Manifests.LinksOf(ctx, repo.String(), digests)
	if err != nil {
		return nil, fmt.Errorf("reading the manifests of %s: %w", repo, err)
	}
	links := make(map[digest.Digest]metadata.ManifestLink, len(all))
	for _, l := range all {
		links[l.Digest] = l
	}
	return links, nil
}

// held tells of an image of an index. One that was deleted meanwhile is not held.
func (r *Registry) held(ctx context.Context, repo oci.Repository, l metadata.ManifestLink) (ImageInfo, error) {
	m, err := r.heldManifest(ctx, repo, oci.Reference{Digest: l.Digest})
	if oci.CodeOf(err) == oci.CodeManifestUnknown {
		return ImageInfo{Digest: l.Digest}, nil
	}
	if err != nil {
		return ImageInfo{}, err
	}
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		content = oci.Content{}
	}
	return single(l, m, content), nil
}

func single(l metadata.ManifestLink, m oci.Manifest, content oci.Content) ImageInfo {
	return ImageInfo{
		Digest: l.Digest, Held: true, PushedAt: l.PushedAt, PulledAt: l.PulledAt,
		Size: int64(len(m.Content)) + ownBlobs(content), Unpacked: unpacked(content),
	}
}

// ownBlobs is what the configuration and the layers of an image take, each once.
func ownBlobs(content oci.Content) (size int64) {
	sizes := map[digest.Digest]int64{}
	for _, l := range content.Layers {
		sizes[l.Digest] = l.Size
	}
	if content.Config != nil {
		sizes[content.Config.Digest] = content.Config.Size
	}
	for _, bytes := range sizes {
		size += bytes
	}
	return size
}

// unpacked is what the layers take that are not compressed; zero when one is.
func unpacked(content oci.Content) (size int64) {
	for _, l := range content.Layers {
		if l.MediaType != v1.MediaTypeImageLayer && l.MediaType != mediaTypeDockerLayerPlain {
			return 0
		}
		size += l.Size
	}
	return size
}
