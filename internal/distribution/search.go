package distribution

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/telemetry"
)

const (
	searchPath = "/v1/search"
	pingPath   = "/v1/_ping"
	// searchPage is how many results a client gets that does not say, and maxSearchPage
	// the most, as on Docker Hub.
	searchPage, maxSearchPage = 25, 100
	// maxFound bounds how many repositories one search ranks.
	maxFound = 1000
	// maxSearchText bounds what is searched for, in bytes.
	maxSearchText = 255
)

// found is one result of a search in the form of Docker's first registry.
type found struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Stars       int    `json:"star_count"`
	// Official marks Docker's own images, in the cache of an upstream that has them.
	Official  bool `json:"is_official"`
	Automated bool `json:"is_automated"`
}

type foundPage struct {
	Pages   int     `json:"num_pages"`
	Count   int     `json:"num_results"`
	Results []found `json:"results"`
	Size    int     `json:"page_size"`
	Query   string  `json:"query"`
	Page    int     `json:"page"`
}

// ping tells docker search that this is no part of Docker Hub: so it shows the login that
// it has for this registry.
func (h *Handler) ping(_ context.Context, x *exchange) error {
	telemetry.RecordOf(x.w).Route = "search"
	x.w.Header().Set("X-Docker-Registry-Standalone", "true")
	return writeJSON(x.w, http.StatusOK, true)
}

// asksWithoutItsLogin tells whether the client is podman or another of its family, without
// credentials. They show this path no login even where they have one, and go on to
// _catalog, with it, when there is no such path.
func asksWithoutItsLogin(x *exchange) bool {
	return !x.who.shown && strings.HasPrefix(x.r.UserAgent(), "containers/")
}

// search finds repositories by name, project and description among those that the caller
// may pull from: the GET of /v1/search that docker search and podman search know.
func (h *Handler) search(ctx context.Context, x *exchange) error {
	telemetry.RecordOf(x.w).Route = "search"
	var err error
	x.scope = catalogScope()
	if x.who, err = h.identify(ctx, x); err != nil {
		return err
	}
	if asksWithoutItsLogin(x) {
		return unknownPath()
	}
	if err := x.coversCatalog(); err != nil && len(x.who.access) > 0 { // a token that names nothing only says who asks
		return err
	}
	query := x.r.URL.Query()
	limit, err := pageSize(query, maxSearchPage)
	if err != nil {
		return err
	}
	if !query.Has("n") {
		limit = searchPage
	}
	all, err := h.matches(ctx, x, strings.ToLower(strings.TrimSpace(query.Get("q"))))
	if err != nil {
		return err
	}
	all = all[:min(len(all), limit)]
	return writeJSON(x.w, http.StatusOK, foundPage{Pages: 1, Count: len(all), Results: all, Size: limit, Query: query.Get("q"), Page: 1})
}

// matches are the repositories that the caller may pull from whose names or descriptions
// hold a text, the nearest first. What is too much to decide at once is left out.
func (h *Handler) matches(ctx context.Context, x *exchange, text string) ([]found, error) {
	if len(text) > maxSearchText {
		return nil, &oci.Error{Code: codeRequestInvalid, Message: fmt.Sprintf("the text that is searched for has more than %d bytes: search for a part of it", maxSearchText)}
	}
	all, after, decide := []found{}, "", h.Authorizer.ForMany()
	for scanned := 0; len(all) < maxFound && scanned < catalogScan; scanned += catalogPage {
		batch, err := h.Hosted.Search(ctx, text, after, catalogPage)
		if err != nil {
			return nil, err
		}
		for _, r := range batch {
			target, may, err := h.listed(ctx, x, decide, r.Name)
			if err != nil && !errors.Is(err, authz.ErrSpent) {
				return nil, err
			}
			if may {
				all = append(all, found{Name: r.Name, Description: r.Description, Stars: r.Stars, Official: official(target)})
			}
		}
		if len(batch) < catalogPage {
			break
		}
		after = batch[len(batch)-1].Name
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(distance(a, text), distance(b, text)) })
	return all, nil
}

// official tells whether an image is one of those that Docker has under a name of one
// segment.
func official(t Target) bool {
	return t.Kind == metadata.Cache && strings.HasPrefix(t.Repository.Rest(), "library/")
}

// distance is small where the text is the image's own name, and large where only the
// description has it.
func distance(f found, text string) int {
	name := f.Name[strings.LastIndexByte(f.Name, '/')+1:]
	switch {
	case name == text:
		return 0
	case strings.HasPrefix(name, text):
		return 1
	case strings.Contains(f.Name, text):
		return 2
	}
	return 3
}
