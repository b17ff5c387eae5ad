package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// maxConfig bounds the configuration of an image that is read for its platform, in bytes.
	maxConfig = 1 << 20
	// maxKnownPlatforms bounds how many images' platforms are kept in memory.
	maxKnownPlatforms = 10_000
	// maxPlatformText bounds what is told of one platform, in bytes.
	maxPlatformText = 64
	// maxPlatforms bounds how many platforms are told of one tag.
	maxPlatforms = 100
)

// TagInfo is a tag and what is known of its image.
type TagInfo struct {
	metadata.Tag
	MediaType string
	// Size is that of the image with all that it refers to, in bytes: of an index, that of
	// the images that are here. Layers that two of its images share count twice.
	Size      int64
	Platforms []string  // such as linux/amd64, in order; none where it is not known
	PushedAt  time.Time // of the image, which may have been pushed before the tag was set
	PulledAt  time.Time // zero: never; lags by seconds
}

// TagInfos tells at most limit tags of a repository whose names sort after the one given.
func (r *Registry) TagInfos(ctx context.Context, repo oci.Repository, after string, limit int) ([]TagInfo, error) {
	tags, err := r.db.Tags.Entries(ctx, repo.String(), after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %s: %w", repo, err)
	}
	return r.describe(ctx, repo, tags)
}

// TagInfo tells of one tag. The error is MANIFEST_UNKNOWN when it is not there.
func (r *Registry) TagInfo(ctx context.Context, repo oci.Repository, name string) (TagInfo, error) {
	tag, err := r.db.Tags.Get(ctx, repo.String(), name)
	if errors.Is(err, metadata.ErrNotFound) {
		return TagInfo{}, manifestUnknown(repo, oci.Reference{Tag: name})
	}
	if err != nil {
		return TagInfo{}, fmt.Errorf("reading tag %s of %s: %w", name, repo, err)
	}
	all, err := r.describe(ctx, repo, []metadata.Tag{tag})
	if err == nil && len(all) == 0 {
		err = manifestUnknown(repo, oci.Reference{Tag: name})
	}
	if err != nil {
		return TagInfo{}, err
	}
	return all[0], nil
}

// describe adds to tags what is known of their images. Those that were deleted meanwhile
// are left out.
func (r *Registry) describe(ctx context.Context, repo oci.Repository, tags []metadata.Tag) ([]TagInfo, error) {
	digests := make([]digest.Digest, 0, len(tags))
	for _, t := range tags {
		digests = append(digests, t.Digest)
	}
	links, err := r.db.Manifests.LinksOf(ctx, repo.String(), digests)
	if err != nil {
		return nil, fmt.Errorf("reading the manifests of %s: %w", repo, err)
	}
	known := make(map[digest.Digest]metadata.ManifestLink, len(links))
	for _, l := range links {
		known[l.Digest] = l
	}
	all := make([]TagInfo, 0, len(tags))
	for _, t := range tags {
		l, there := known[t.Digest]
		if !there {
			continue
		}
		info := TagInfo{Tag: t, MediaType: l.MediaType, PushedAt: l.PushedAt, PulledAt: l.PulledAt}
		if info.Size, info.Platforms, err = r.outline(ctx, repo, t.Digest); err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}

// outline tells how large an image is and for which platforms. What cannot be read as an
// image has the size of its manifest: caches keep whatever their upstream sends.
func (r *Registry) outline(ctx context.Context, repo oci.Repository, d digest.Digest) (size int64, platforms []string, err error) {
	m, err := r.heldManifest(ctx, repo, oci.Reference{Digest: d})
	if oci.CodeOf(err) == oci.CodeManifestUnknown {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	size = int64(len(m.Content))
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return size, nil, nil //nolint:nilerr // whatever it is, it is here
	}
	if !content.Index() {
		return size + ownBlobs(content), r.platform(ctx, repo, content), nil
	}
	for _, child := range content.Manifests {
		if child.OS != "" && child.OS != "unknown" && len(platforms) < maxPlatforms {
			platforms = append(platforms, platformText(child.OS, child.Architecture, child.Variant))
		}
		held, err := r.heldManifest(ctx, repo, oci.Reference{Digest: child.Digest})
		if oci.CodeOf(err) == oci.CodeManifestUnknown {
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		size += int64(len(held.Content))
		if inside, err := oci.ParseManifest(held.MediaType, held.Content); err == nil {
			size += ownBlobs(inside)
		}
	}
	slices.Sort(platforms)
	return size, slices.Compact(platforms), nil
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

// platform reads for which platform a single image is; none where its configuration does
// not say, or is not here.
func (r *Registry) platform(ctx context.Context, repo oci.Repository, content oci.Content) []string {
	if content.Config == nil || content.Config.Size > maxConfig || !isImageConfig(content.Config.MediaType) {
		return nil
	}
	key := content.Config.Digest
	if text, ok := r.platforms.GetIfPresent(key); ok {
		return platformList(text)
	}
	text, err := r.readPlatform(ctx, repo, key)
	if err != nil {
		return nil
	}
	r.platforms.Set(key, text)
	return platformList(text)
}

func (r *Registry) readPlatform(ctx context.Context, repo oci.Repository, d digest.Digest) (string, error) {
	row, err := r.blobRow(ctx, repo, d)
	if err != nil {
		return "", err
	}
	opened, err := r.openSound(ctx, row)
	if err != nil {
		return "", err
	}
	defer func() { _ = opened.Close() }()
	text, err := io.ReadAll(io.LimitReader(opened, maxConfig))
	if err != nil {
		return "", err
	}
	var config v1.Platform
	if err := json.Unmarshal(text, &config); err != nil || config.OS == "" {
		return "", nil //nolint:nilerr // it does not say
	}
	return platformText(config.OS, config.Architecture, config.Variant), nil
}

func isImageConfig(mediaType string) bool {
	return mediaType == v1.MediaTypeImageConfig || mediaType == "application/vnd.docker.container.image.v1+json"
}

func platformList(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func platformText(os, architecture, variant string) string {
	text := os + "/" + architecture
	if variant != "" {
		text += "/" + variant
	}
	return text[:min(len(text), maxPlatformText)]
}
