package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// maxHistory is how many moves of one tag are told; no more are remembered.
const maxHistory = 100

// Images is what is pushed.
type Images interface {
	TagInfos(ctx context.Context, repo oci.Repository, after string, limit int) ([]registry.TagInfo, error)
	TagInfo(ctx context.Context, repo oci.Repository, tag string) (registry.TagInfo, error)
	Tag(ctx context.Context, t registry.Tagging) (digest.Digest, error)
	DeleteTag(ctx context.Context, repo oci.Repository, tag string) error
	DeleteRepository(ctx context.Context, repo oci.Repository, roles []string) error
	DeleteProject(ctx context.Context, name string) error
}

// Histories remembers where tags pointed.
type Histories interface {
	History(ctx context.Context, repository, tag string, limit int) ([]metadata.TagMove, error)
}

// Tag is a tag and the image that it names.
type Tag struct {
	Name       string     `json:"name"`
	Repository string     `json:"repository" doc:"Without the project"`
	Project    string     `json:"project"`
	Digest     string     `json:"digest"`
	MediaType  string     `json:"mediaType"`
	Size       int64      `json:"size" doc:"Of the image with its layers, in bytes; of an index, of those images that are here"`
	Platforms  []string   `json:"platforms" doc:"Such as linux/amd64; empty where it is not known"`
	Images     []TagImage `json:"images" doc:"The images of an index, or the one image; empty where it is none"`
	VanishedAt *time.Time `json:"vanishedAt,omitempty" doc:"Since when the upstream says that it does not have the tag; absent while it has"`
	Stale      bool       `json:"stale" doc:"Neither the tag nor any of its images has been pushed or pulled for more than a month"`
	SetAt      time.Time  `json:"setAt" doc:"When the tag was last set"`
	PushedAt   *time.Time `json:"pushedAt,omitempty" doc:"When the image was last pushed"`
	PulledAt   *time.Time `json:"pulledAt,omitempty" doc:"When the image was last pulled; lags by seconds"`
}

// TagImage is the image of one platform.
type TagImage struct {
	Digest   string     `json:"digest"`
	Platform string     `json:"platform,omitempty" example:"linux/amd64"`
	Held     bool       `json:"held" doc:"Whether the image is here: in a cache, only those are that somebody has pulled"`
	Size     int64      `json:"size,omitempty" doc:"What a client downloads, in bytes: manifest, configuration and layers"`
	Unpacked int64      `json:"unpackedSize,omitempty" doc:"What the layers take once unpacked, in bytes; absent where it is not known, because a layer is compressed"`
	PushedAt *time.Time `json:"pushedAt,omitempty"`
	PulledAt *time.Time `json:"pulledAt,omitempty" doc:"Lags by seconds"`
}

// TagList is one page of tags, ordered by name.
type TagList struct {
	Items []Tag  `json:"items"`
	Next  string `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

// TagMove is one entry of a tag's history, the newest first.
type TagMove struct {
	Digest string    `json:"digest,omitempty" doc:"Absent where the tag was removed"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor,omitempty"`
}

// TagHistory is where a tag has pointed; the last hundred moves are remembered.
type TagHistory struct {
	Items []TagMove `json:"items"`
}

// TagRequest says what a tag is to name.
type TagRequest struct {
	Source string `json:"source" maxLength:"600" example:"demo/app@sha256:..." doc:"PROJECT/REPOSITORY:TAG or PROJECT/REPOSITORY@DIGEST"`
}

type tagInput struct {
	Credentials
	RepositoryPath
	Tag string `path:"tag"`
}

type deleteTagInput struct {
	Credentials
	RepositoryPath
	Tag    string `path:"tag"`
	Digest string `query:"digest" maxLength:"200" doc:"Delete it only while it names this image"`
}

type setTagInput struct {
	Credentials
	RepositoryPath
	Tag  string `path:"tag"`
	Body TagRequest
}

type (
	tagOutput        struct{ Body Tag }
	listTagsOutput   struct{ Body TagList }
	tagHistoryOutput struct{ Body TagHistory }
)

func (s *service) registerTags(api huma.API) {
	const path = "/api/v1/projects/{project}/repositories/{repository}/tags"
	tags := []string{"repositories"}
	register(s, api, huma.Operation{
		OperationID: "list-tags", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List a repository's tags, or those of one kind", Errors: []int{http.StatusBadRequest, http.StatusNotFound},
		Description: "A page of one kind may have fewer tags than its limit and yet name a next one.",
	}, s.listTags)
	register(s, api, huma.Operation{
		OperationID: "get-tag", Method: http.MethodGet, Path: path + "/{tag}", Tags: tags,
		Summary: "Read a tag", Errors: []int{http.StatusNotFound},
	}, s.getTag)
	register(s, api, huma.Operation{
		OperationID: "set-tag", Method: http.MethodPut, Path: path + "/{tag}", Tags: tags,
		Summary:     "Point a tag to an image of this repository or of another one",
		Description: "From another repository the whole image is taken along; no bytes are copied.",
		Errors:      []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.setTag)
	register(s, api, huma.Operation{
		OperationID: "delete-tag", Method: http.MethodDelete, Path: path + "/{tag}", Tags: tags,
		Summary: "Delete a tag; its image stays", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.deleteTag)
	register(s, api, huma.Operation{
		OperationID: "get-tag-history", Method: http.MethodGet, Path: path + "/{tag}/history", Tags: tags,
		Summary: "Tell where a tag has pointed; that of a deleted tag is told, too", Errors: []int{http.StatusNotFound},
	}, s.tagHistory)
}

func (s *service) getTag(ctx context.Context, who caller, in *tagInput) (*tagOutput, error) {
	r, _, err := s.visibleRepository(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	t, err := s.Images.TagInfo(ctx, oci.Repository(r.Name), in.Tag)
	if err != nil {
		return nil, err
	}
	return &tagOutput{Body: s.tagOf(oci.Repository(r.Name), t)}, nil
}

func (s *service) setTag(ctx context.Context, who caller, in *setTagInput) (*tagOutput, error) {
	if err := oci.CheckTag(in.Tag); err != nil {
		return nil, err
	}
	target, err := oci.ParseRepository(in.Project + "/" + in.Repository)
	if err != nil {
		return nil, err
	}
	if err := s.mayTag(ctx, who, target); err != nil {
		return nil, err
	}
	source, ref, err := s.taggable(ctx, who, in.Body.Source)
	if err != nil {
		return nil, err
	}
	_, err = s.Images.Tag(ctx, registry.Tagging{Source: source, Reference: ref, Target: target, Tag: in.Tag, Actor: who.User})
	if err != nil {
		return nil, err
	}
	t, err := s.Images.TagInfo(ctx, target, in.Tag)
	if err != nil {
		return nil, err
	}
	return &tagOutput{Body: s.tagOf(target, t)}, nil
}

// mayTag refuses callers who may neither tag in the repository nor push to it. A
// repository that is not there takes the right to make it.
func (s *service) mayTag(ctx context.Context, who caller, target oci.Repository) error {
	p, err := s.visibleProject(ctx, who, target.Project())
	if err != nil {
		return err
	}
	if p.Kind == metadata.Cache {
		return problem(http.StatusBadRequest, fmt.Sprintf("nothing was tagged: project %s mirrors an upstream, whose tags are the upstream's", p.Name))
	}
	repository := repositoryTarget(target, p.Kind)
	if err := s.permitAny(ctx, who, repository, authz.Tag, authz.Push); err != nil {
		return err
	}
	_, err = s.Repositories.Get(ctx, target.String())
	if errors.Is(err, metadata.ErrNotFound) {
		return s.permit(ctx, who, authz.CreateRepository, repository)
	}
	return err
}

// permitAny refuses callers who have none of some rights, and names the first.
func (s *service) permitAny(ctx context.Context, who caller, target authz.Target, actions ...authz.Action) error {
	for _, action := range actions {
		may, err := s.Authorizer.Allowed(ctx, who.Identity, action, target)
		if err != nil || may {
			return err
		}
	}
	return s.refused(who, actions[0], target)
}

// taggable finds an image of a hosted project that the caller may pull.
func (s *service) taggable(ctx context.Context, who caller, source string) (oci.Repository, oci.Reference, error) {
	repo, ref, err := parseImage(source)
	if err != nil {
		return "", oci.Reference{}, err
	}
	hidden := problem(http.StatusNotFound, fmt.Sprintf("image %.600s does not exist, or you may not pull it", source))
	p, err := s.Projects.Get(ctx, repo.Project())
	if errors.Is(err, metadata.ErrNotFound) {
		return "", oci.Reference{}, hidden
	}
	if err != nil {
		return "", oci.Reference{}, err
	}
	may, err := s.Authorizer.Allowed(ctx, who.Identity, authz.Pull, repositoryTarget(repo, p.Kind))
	switch {
	case err != nil:
		return "", oci.Reference{}, err
	case !may:
		return "", oci.Reference{}, hidden
	case p.Kind == metadata.Cache:
		return "", oci.Reference{}, problem(http.StatusBadRequest, fmt.Sprintf("nothing was tagged: %s is in a cache, which gives images up when it needs the room; have it kept with larder import-image", repo))
	}
	return repo, ref, nil
}

// parseImage reads PROJECT/REPOSITORY:TAG or PROJECT/REPOSITORY@DIGEST.
func parseImage(source string) (oci.Repository, oci.Reference, error) {
	name, reference, byDigest := strings.Cut(source, "@")
	if !byDigest {
		if at := strings.LastIndexByte(source, ':'); at >= 0 {
			name, reference = source[:at], source[at+1:]
		}
	}
	if reference == "" {
		return "", oci.Reference{}, problem(http.StatusBadRequest, fmt.Sprintf("the source %.100q names no image: write PROJECT/REPOSITORY:TAG or PROJECT/REPOSITORY@DIGEST", source))
	}
	repo, err := oci.ParseRepository(name)
	if err != nil {
		return "", oci.Reference{}, err
	}
	ref, err := oci.ParseReference(reference)
	return repo, ref, err
}

func (s *service) deleteTag(ctx context.Context, who caller, in *deleteTagInput) (*struct{}, error) {
	r, target, err := s.visibleRepository(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	if err := s.permitAny(ctx, who, target, authz.DeleteTag, authz.Delete); err != nil {
		return nil, err
	}
	if in.Digest != "" {
		t, err := s.Images.TagInfo(ctx, oci.Repository(r.Name), in.Tag)
		if err != nil {
			return nil, err
		}
		if t.Digest.String() != in.Digest {
			return nil, problem(http.StatusConflict, fmt.Sprintf("tag %s of %s was not deleted: it names %s now", in.Tag, r.Name, t.Digest))
		}
	}
	return nil, s.Images.DeleteTag(ctx, oci.Repository(r.Name), in.Tag)
}

func (s *service) tagHistory(ctx context.Context, who caller, in *tagInput) (*tagHistoryOutput, error) {
	r, _, err := s.visibleRepository(ctx, who, in.RepositoryPath)
	if err != nil {
		return nil, err
	}
	moves, err := s.Histories.History(ctx, r.Name, in.Tag, maxHistory)
	if err != nil {
		return nil, err
	}
	if len(moves) == 0 {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("tag %.128q of %s has no history: it was never set", in.Tag, r.Name))
	}
	out := &tagHistoryOutput{}
	for _, m := range moves {
		out.Body.Items = append(out.Body.Items, TagMove{Digest: m.Digest.String(), At: m.At, Actor: m.Actor})
	}
	return out, nil
}
