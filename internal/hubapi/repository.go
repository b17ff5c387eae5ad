package hubapi

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// request is one request on its way through the handler.
type request struct {
	*Handler
	see   See
	where path
	page  page
	query url.Values
}

// repository is one in Docker Hub's form.
type repository struct {
	User              string      `json:"user"`
	Name              string      `json:"name"`
	Namespace         string      `json:"namespace"`
	Type              string      `json:"repository_type"`
	Status            int         `json:"status"`
	StatusDescription string      `json:"status_description"`
	Description       string      `json:"description"`
	FullDescription   string      `json:"full_description,omitempty"`
	Private           bool        `json:"is_private"`
	Automated         bool        `json:"is_automated"`
	Stars             int64       `json:"star_count"`
	Pulls             int64       `json:"pull_count"`
	Updated           *time.Time  `json:"last_updated"`
	Registered        time.Time   `json:"date_registered"`
	Permissions       permissions `json:"permissions"`
}

// permissions are what the caller may do to it. Who sees it may read it; the rest is told
// by /api/v1 alone.
type permissions struct {
	Read  bool `json:"read"`
	Write bool `json:"write"`
	Admin bool `json:"admin"`
}

func (q request) repository(ctx context.Context) (any, error) {
	r, err := q.find(ctx)
	if err != nil {
		return nil, err
	}
	return q.show(ctx, r)
}

// find finds the repository of the path: one of a project of that name, or one that is
// cached from that namespace of Docker Hub.
func (q request) find(ctx context.Context) (metadata.Repository, error) {
	name := q.where.namespace + "/" + q.where.name
	candidates := []string{name}
	if q.Hub != "" {
		candidates = append(candidates, q.Hub+"/"+name)
	}
	for _, name := range candidates {
		repo, sees, err := q.see(ctx, name)
		if oci.CodeOf(err) == oci.CodeNameInvalid || err == nil && !sees {
			continue
		}
		if err != nil {
			return metadata.Repository{}, err
		}
		r, err := q.Repositories.Get(ctx, repo.String())
		if !errors.Is(err, metadata.ErrNotFound) {
			return r, err
		}
	}
	return metadata.Repository{}, errNotFound
}

func (q request) show(ctx context.Context, r metadata.Repository) (repository, error) {
	_, public, err := q.Public(ctx, r.Name)
	if err != nil {
		return repository{}, err
	}
	repo := oci.Repository(r.Name)
	shown := repository{
		User: repo.Project(), Name: repo.Rest(), Namespace: repo.Project(), Type: "image", Status: 1, StatusDescription: "active",
		Description: r.Description, FullDescription: r.Readme, Private: !public, Registered: r.CreatedAt,
		Stars: int64(r.Stars), Pulls: r.Pulls, Permissions: permissions{Read: true},
	}
	if !r.UpdatedAt.IsZero() {
		shown.Updated = &r.UpdatedAt
	}
	return shown, nil
}

// namespace lists the repositories of a project, or those that are cached from a namespace
// of Docker Hub.
func (q request) namespace(ctx context.Context) (any, error) {
	visible, err := q.visible(ctx, q.where.namespace, q.where.namespace+"/")
	if err == nil && len(visible) == 0 && q.Hub != "" {
		visible, err = q.visible(ctx, q.Hub, q.Hub+"/"+q.where.namespace+"/")
	}
	if err != nil {
		return nil, err
	}
	if len(visible) == 0 {
		return nil, errNotFound
	}
	from, to := q.page.bounds(len(visible))
	var results []repository
	for _, r := range visible[from:to] {
		r.Readme = "" // a list has the short description alone
		shown, err := q.show(ctx, r)
		if err != nil {
			return nil, err
		}
		results = append(results, shown)
	}
	return listOf(q.page, len(visible), results), nil
}

// visible are the repositories of a project that the caller may see and whose names begin
// with a text.
func (q request) visible(ctx context.Context, project, prefix string) ([]metadata.Repository, error) {
	return q.sift(ctx, func(after string) ([]metadata.Repository, error) {
		return q.Repositories.Entries(ctx, project, after, batch)
	}, func(r metadata.Repository) bool { return strings.HasPrefix(r.Name, prefix) })
}

// batch is how many repositories are read at once.
const batch = 500

// sift reads repositories until there are no more, or as many as are ever listed, and keeps
// those that are wanted and that the caller may see. What is too much to ask of a cluster at
// once is left out, and does not hide what comes after it.
func (q request) sift(ctx context.Context, read func(after string) ([]metadata.Repository, error), wanted func(metadata.Repository) bool) ([]metadata.Repository, error) {
	var all []metadata.Repository
	after := ""
	for scanned := 0; scanned < maxListed; scanned += batch {
		some, err := read(after)
		if err != nil {
			return nil, err
		}
		for _, r := range some {
			after = r.Name
			if !wanted(r) {
				continue
			}
			_, sees, err := q.see(ctx, r.Name)
			if err != nil && !errors.Is(err, authz.ErrSpent) {
				return nil, err
			}
			if sees {
				all = append(all, r)
			}
		}
		if len(some) < batch {
			break
		}
	}
	return all, nil
}
