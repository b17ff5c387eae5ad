package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

const (
	// tagBatch is how many tags are read at once for a page of those that are asked for.
	tagBatch = 200
	// maxTagsRead bounds how many tags are looked at for one page.
	maxTagsRead = 2000
)

type listTagsInput struct {
	Credentials
	RepositoryPath
	After    string `query:"after" maxLength:"128" doc:"Only those whose names sort after this"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Stale    bool   `query:"stale" doc:"Only stale ones"`
	Match    string `query:"match" maxLength:"128" doc:"Only those whose names match the pattern, in which * stands for any text, also for none, and ? for one character" example:"v1.*"`
	Platform string `query:"platform" maxLength:"64" doc:"Only those that have an image for it" example:"linux/arm64"`
}

// listTags lists a repository's tags. A page may have fewer of those that are asked for
// than its limit and yet name a next one.
func (s *service) listTags(ctx context.Context, who caller, in *listTagsInput) (*listTagsOutput, error) {
	r, _, err := s.visibleRepository(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	wanted, err := s.tagFilter(in)
	if err != nil {
		return nil, err
	}
	repo := oci.Repository(r.Name)
	out := &listTagsOutput{Body: TagList{Items: []Tag{}}}
	after := in.After
	for read := 0; read < maxTagsRead; read += tagBatch {
		batch, err := s.Images.TagInfos(ctx, repo, after, tagBatch)
		if err != nil {
			return nil, err
		}
		for _, t := range batch {
			if !wanted(t) {
				continue
			}
			if len(out.Body.Items) == in.Limit {
				out.Body.Next = out.Body.Items[in.Limit-1].Name
				return out, nil
			}
			out.Body.Items = append(out.Body.Items, s.tagOf(repo, t))
		}
		if len(batch) < tagBatch {
			return out, nil
		}
		after = batch[len(batch)-1].Name
	}
	out.Body.Next = after
	return out, nil
}

// tagFilter tells which tags are asked for.
func (s *service) tagFilter(in *listTagsInput) (func(registry.TagInfo) bool, error) {
	var patterns oci.TagPatterns
	if in.Match != "" {
		patterns = oci.TagPatterns{in.Match}
	}
	if err := patterns.Check("match"); err != nil {
		return nil, problem(http.StatusBadRequest, err.Error())
	}
	now := s.Now()
	return func(t registry.TagInfo) bool {
		_, matches := patterns.Matching(t.Name)
		return (in.Match == "" || matches) && (!in.Stale || t.Stale(now)) &&
			(in.Platform == "" || slices.Contains(t.Platforms(), in.Platform))
	}, nil
}

func (s *service) tagOf(repo oci.Repository, t registry.TagInfo) Tag {
	shown := Tag{
		Name: t.Name, Repository: repo.Rest(), Project: repo.Project(), Digest: t.Digest.String(), MediaType: t.MediaType,
		Size: t.Size, Platforms: t.Platforms(), Images: []TagImage{}, Stale: t.Stale(s.Now()),
		VanishedAt: timeOrNone(t.VanishedAt),
		SetAt:      t.UpdatedAt, PushedAt: timeOrNone(t.PushedAt), PulledAt: timeOrNone(t.PulledAt),
	}
	if shown.Platforms == nil {
		shown.Platforms = []string{}
	}
	for _, i := range t.Images {
		shown.Images = append(shown.Images, TagImage{
			Digest: i.Digest.String(), Platform: i.Platform, Held: i.Held, Size: i.Size, Unpacked: i.Unpacked,
			PushedAt: timeOrNone(i.PushedAt), PulledAt: timeOrNone(i.PulledAt),
		})
	}
	return shown
}
