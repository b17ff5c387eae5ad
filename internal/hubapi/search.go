package hubapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// maxQuery bounds what is searched for, in bytes.
const maxQuery = 255

// found is one result of a search in Docker Hub's form.
type found struct {
	Name        string `json:"repo_name"`
	Description string `json:"short_description"`
	Owner       string `json:"repo_owner"`
	Stars       int64  `json:"star_count"`
	Pulls       int64  `json:"pull_count"`
	Official    bool   `json:"is_official"`
	Automated   bool   `json:"is_automated"`
}

// search finds repositories by name, owner and description among those that the caller may
// see.
func (q request) search(ctx context.Context) (any, error) {
	text := strings.ToLower(strings.TrimSpace(q.query.Get("query")))
	if len(text) > maxQuery {
		return nil, &failure{http.StatusBadRequest, "the query is longer than any name: search for a part of it"}
	}
	all, err := q.sift(ctx, func(after string) ([]metadata.Repository, error) {
		return q.Repositories.Search(ctx, text, after, batch)
	}, func(metadata.Repository) bool { return true })
	if err != nil {
		return nil, err
	}
	from, to := q.page.bounds(len(all))
	var results []found
	for _, r := range all[from:to] {
		repo := oci.Repository(r.Name)
		results = append(results, found{
			Name: r.Name, Description: r.Description, Owner: repo.Project(), Stars: int64(r.Stars), Pulls: r.Pulls,
			Official: repo.Project() == q.Hub && strings.HasPrefix(repo.Rest(), "library/"),
		})
	}
	return listOf(q.page, len(all), results), nil
}
