package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// TagInfo is a tag and what is known of its image.
type TagInfo struct {
	metadata.Tag
	MediaType string
	// Size is what is here of the image, in bytes, with all that it refers to. Layers that
	// two images of an index share count twice.
	Size     int64
	PushedAt time.Time // of the image, which may have been pushed before the tag was set
	PulledAt time.Time // zero: never; lags by seconds
	// Images are those that the tag's index has, or the one that the tag names; none
	// where it is no image. What is attached to images, such as signatures, is left out.
	Images []ImageInfo
}

// ImageInfo is the image of one platform.
type ImageInfo struct {
	Digest   digest.Digest
	Platform string // such as linux/amd64; "" where it is not known
	// Held is false for images of an index that are not here; then nothing of what
	// follows is known.
	Held bool
	// Size is what a client downloads, in bytes: manifest, configuration and layers.
	Size int64
	// Unpacked is what the layers take on the client's disk, in bytes; zero where it is
	// not known, because a layer is compressed.
	Unpacked int64
	PushedAt time.Time
	PulledAt time.Time // zero: never; lags by seconds
}

// Platforms are those of the images, each once, in order.
func (t TagInfo) Platforms() []string {
	var all []string
	for _, i := range t.Images {
		if i.Platform != "" && len(all) < maxPlatforms {
			all = append(all, i.Platform)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Stale tells whether the tag has been neither pushed nor pulled for more than a month,
// and none of its images has, as Docker Hub has it.
func (t TagInfo) Stale(now time.Time) bool {
	active := slices.ContainsFunc(t.Images, func(i ImageInfo) bool { return !i.Stale(now) })
	return !active && stale(now, t.UpdatedAt, t.PushedAt, t.PulledAt)
}

// Stale tells whether the image alone has been neither pushed nor pulled for more than a
// month.
func (i ImageInfo) Stale(now time.Time) bool { return stale(now, i.PushedAt, i.PulledAt) }

func stale(now time.Time, active ...time.Time) bool {
	return !slices.ContainsFunc(active, now.AddDate(0, -1, 0).Before)
}

// TagInfos tells at most limit tags of a repository whose names sort after the one given.
func (r *Registry) TagInfos(ctx context.Context, repo oci.Repository, after string, limit int) ([]TagInfo, error) {
	tags, err := r.db.Tags.Entries(ctx, repo.String(), after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %s: %w", repo, err)
	}
	return r.DescribeTags(ctx, repo, tags)
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
	all, err := r.DescribeTags(ctx, repo, []metadata.Tag{tag})
	if err == nil && len(all) == 0 {
		err = manifestUnknown(repo, oci.Reference{Tag: name})
	}
	if err != nil {
		return TagInfo{}, err
	}
	return all[0], nil
}

// DescribeTags adds to tags what is known of their images. Those that were deleted
// meanwhile are left out.
func (r *Registry) DescribeTags(ctx context.Context, repo oci.Repository, tags []metadata.Tag) ([]TagInfo, error) {
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
		if info.Size, info.Images, err = r.outline(ctx, repo, l); err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, nil
}
