package distribution

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// maxPage bounds one page of tags.
	maxPage = 10_000
	// catalogPage is the size of a page of _catalog when the client does not say, and
	// the largest.
	catalogPage = 1000
	// catalogScan bounds how many repositories are looked at for one page of those
	// that the caller may see.
	catalogScan = 20_000
)

type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// tags lists a repository's tags (OCI Distribution 1.1, §Listing Tags).
func (h *Handler) tags(ctx context.Context, x *exchange) error {
	limit, err := pageSize(x.r.URL.Query(), maxPage)
	if err != nil {
		return err
	}
	page := oci.TagPage{Last: x.r.URL.Query().Get("last"), Limit: limit}
	list, served, err := x.target.Images.Tags(ctx, h.caller(x), x.target.Repository, page)
	h.tell(x, served, "")
	if err != nil {
		return err
	}
	if list.More && len(list.Tags) > 0 {
		nextPage(x, limit, list.Tags[len(list.Tags)-1])
	}
	if list.Tags == nil {
		list.Tags = []string{}
	}
	return writeJSON(x.w, http.StatusOK, tagList{Name: x.route.name, Tags: list.Tags})
}

// referrers lists what refers to a digest (OCI Distribution 1.1, §Listing Referrers).
func (h *Handler) referrers(ctx context.Context, x *exchange) error {
	artifactType := x.r.URL.Query().Get("artifactType")
	index, filtered, served, err := x.target.Images.Referrers(ctx, h.caller(x), x.target.Repository, x.route.digest, artifactType)
	h.tell(x, served, "")
	if err != nil {
		return err
	}
	if filtered {
		x.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	writeBody(x.w, http.StatusOK, v1.MediaTypeImageIndex, index)
	return nil
}

// Cursors hides the places at which lists go on, where they are names that the caller may
// not see.
type Cursors interface {
	SealCursor(ctx context.Context, name string) (string, error)
	// OpenCursor is authn.ErrCursor for what SealCursor has not made.
	OpenCursor(ctx context.Context, cursor string) (name string, err error)
}

type repositoryList struct {
	Repositories []string `json:"repositories"`
}

// catalog lists the repositories that the caller may see (Docker Registry HTTP API V2,
// §Listing Repositories).
func (h *Handler) catalog(ctx context.Context, x *exchange) error {
	x.scope = catalogScope()
	if err := x.coversCatalog(); err != nil {
		return err
	}
	limit, err := pageSize(x.r.URL.Query(), catalogPage)
	if err != nil {
		return err
	}
	names, next, err := h.visible(ctx, x, x.r.URL.Query().Get("last"), limit)
	if err != nil {
		return err
	}
	if next != "" && limit > 0 {
		nextPage(x, limit, next)
	}
	return writeJSON(x.w, http.StatusOK, repositoryList{names})
}

// catalogScope is what a token must cover that lists repositories.
func catalogScope() string {
	return authn.Access{Type: authn.TypeRegistry, Name: endpointCatalogName, Actions: []string{authn.ActionAll}}.String()
}

func (x *exchange) coversCatalog() error {
	if authn.Covers(x.who.access, authn.TypeRegistry, endpointCatalogName, authn.ActionAll) {
		return nil
	}
	return loginNeeded("the token does not cover %s: ask for one with that scope", x.scope)
}

// visible reads repositories until there are limit that the caller may pull from, or the
// next one is too much to decide at once. Next is where the page after this one begins, ""
// when there is none.
func (h *Handler) visible(ctx context.Context, x *exchange, last string, limit int) (names []string, next string, err error) {
	after, err := h.Cursors.OpenCursor(ctx, last)
	if errors.Is(err, authn.ErrCursor) {
		return nil, "", &oci.Error{Code: oci.CodePaginationInvalid, Message: err.Error()}
	}
	if err != nil {
		return nil, "", err
	}
	names = []string{}
	decide := h.Authorizer.ForMany()
	for scanned := 0; len(names) < limit && scanned < catalogScan; scanned += catalogPage {
		batch, err := h.Hosted.Repositories(ctx, after, catalogPage)
		if err != nil {
			return nil, "", err
		}
		for _, name := range batch {
			if len(names) == limit {
				return names, names[limit-1], nil
			}
			_, may, err := h.listed(ctx, x, decide, name)
			if errors.Is(err, authz.ErrSpent) {
				next, err := h.cursor(ctx, after, names)
				return names, next, err
			}
			if err != nil {
				return nil, "", err
			}
			if may {
				names = append(names, name)
			}
			after = name
		}
		if len(batch) < catalogPage {
			return names, "", nil
		}
	}
	next, err = h.cursor(ctx, after, names)
	return names, next, err
}

// cursor is a name at which a list goes on; hidden, unless the client has just been told
// of it.
func (h *Handler) cursor(ctx context.Context, name string, told []string) (string, error) {
	if len(told) > 0 && told[len(told)-1] == name {
		return name, nil
	}
	return h.Cursors.SealCursor(ctx, name)
}

// listed finds a repository of a list and tells whether the caller may see its name. What
// a cache has left whose upstream is no longer configured is in no list.
func (h *Handler) listed(ctx context.Context, x *exchange, decide authz.Decide, name string) (Target, bool, error) {
	target, err := h.Resolver.Resolve(ctx, name, "")
	if oci.CodeOf(err) == oci.CodeNameUnknown {
		return Target{}, false, nil
	}
	if err != nil {
		return Target{}, false, err
	}
	may, err := h.mayList(ctx, x, decide, target)
	return target, may, err
}

// mayList tells whether a repository's name is for the caller. What an upstream may
// keep to itself is not for strangers.
func (h *Handler) mayList(ctx context.Context, x *exchange, decide authz.Decide, target Target) (bool, error) {
	may, err := may(ctx, decide, x.who.identity, authn.ActionPull, target)
	if err != nil || !may || h.keptFrom(x, target) {
		return false, err
	}
	if target.Kind == metadata.Cache && x.who.identity.Anonymous() {
		return h.Hosted.ShownToStrangers(ctx, target.Repository)
	}
	return h.shows(ctx, x, target)
}

// pageSize reads n, which may be absent.
func pageSize(query url.Values, most int) (int, error) {
	if !query.Has("n") {
		return most, nil
	}
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil || n < 0 {
		return 0, &oci.Error{Code: oci.CodePaginationInvalid, Message: fmt.Sprintf("n=%.40q is not a number of results", query.Get("n"))}
	}
	return min(n, most), nil
}

// nextPage links the page that follows last, with the parameters of this one.
func nextPage(x *exchange, limit int, last string) {
	query := url.Values{"n": {strconv.Itoa(limit)}, "last": {last}}
	if ns := x.r.URL.Query().Get("ns"); ns != "" {
		query.Set("ns", ns)
	}
	link(x.w.Header(), x.r.URL.EscapedPath(), query.Encode())
}
