package hubapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// tag is one in Docker Hub's form.
type tag struct {
	Name        string     `json:"name"`
	FullSize    int64      `json:"full_size"` // what linux/amd64, or the first platform, downloads, in bytes
	Images      []image    `json:"images"`
	Updated     time.Time  `json:"last_updated"`
	Status      string     `json:"tag_status"`
	Pulled      *time.Time `json:"tag_last_pulled"`
	Pushed      *time.Time `json:"tag_last_pushed"`
	MediaType   string     `json:"media_type"`
	ContentType string     `json:"content_type"`
	Digest      string     `json:"digest"`
	V2          bool       `json:"v2"`
}

// image is that of one platform in Docker Hub's form.
type image struct {
	Architecture string     `json:"architecture"`
	OS           string     `json:"os"`
	Variant      *string    `json:"variant"`
	Digest       string     `json:"digest"`
	Size         int64      `json:"size"` // what is downloaded, in bytes; 0 where the image is not here
	Status       string     `json:"status"`
	Pulled       *time.Time `json:"last_pulled"`
	Pushed       *time.Time `json:"last_pushed"`
}

// tags lists a repository's tags, those that were set last first.
func (q request) tags(ctx context.Context) (any, error) {
	r, err := q.find(ctx)
	if err != nil {
		return nil, err
	}
	all, err := q.Tags.Entries(ctx, r.Name, "", maxListed)
	if err != nil {
		return nil, err
	}
	if part := q.query.Get("name"); part != "" {
		all = slices.DeleteFunc(all, func(t metadata.Tag) bool { return !strings.Contains(t.Name, part) })
	}
	slices.SortStableFunc(all, func(a, b metadata.Tag) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	from, to := q.page.bounds(len(all))
	results, err := q.describe(ctx, r, all[from:to])
	if err != nil {
		return nil, err
	}
	return listOf(q.page, len(all), results), nil
}

func (q request) tag(ctx context.Context) (any, error) {
	r, err := q.find(ctx)
	if err != nil {
		return nil, err
	}
	t, err := q.Tags.Get(ctx, r.Name, q.where.tag)
	if err != nil {
		return nil, notFoundOr(err)
	}
	all, err := q.describe(ctx, r, []metadata.Tag{t})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errNotFound
	}
	return all[0], nil
}

func (q request) describe(ctx context.Context, r metadata.Repository, tags []metadata.Tag) ([]tag, error) {
	infos, err := q.Images.DescribeTags(ctx, oci.Repository(r.Name), tags)
	if err != nil {
		return nil, err
	}
	var all []tag
	for _, info := range infos {
		all = append(all, q.shown(info))
	}
	return all, nil
}

func (q request) shown(info registry.TagInfo) tag {
	now := q.Now()
	t := tag{
		Name: info.Name, Images: []image{}, Updated: info.UpdatedAt, Status: status(info.Stale(now)), V2: true,
		Pulled: optional(info.PulledAt), Pushed: optional(info.PushedAt),
		MediaType: info.MediaType, ContentType: "image", Digest: info.Digest.String(), FullSize: info.Size,
	}
	for n, i := range info.Images {
		os, architecture, _ := strings.Cut(i.Platform, "/")
		architecture, variant, hasVariant := strings.Cut(architecture, "/")
		shown := image{
			OS: os, Architecture: architecture, Digest: i.Digest.String(), Size: i.Size, Status: status(i.Stale(now)),
			Pulled: optional(i.PulledAt), Pushed: optional(i.PushedAt),
		}
		if hasVariant {
			shown.Variant = &variant
		}
		if n == 0 || i.Platform == "linux/amd64" {
			t.FullSize = i.Size
		}
		t.Images = append(t.Images, shown)
	}
	return t
}

func status(stale bool) string {
	if stale {
		return "inactive"
	}
	return "active"
}

func optional(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
