package hubsim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// serveTags lists tags in order, page by page (OCI Distribution 1.1, §Listing
// Tags).
func (h *Hub) serveTags(w http.ResponseWriter, r *http.Request, t target) {
	tags := h.store.tags(t.repository())
	query := r.URL.Query()
	if query.Has("last") {
		at, found := slices.BinarySearch(tags, query.Get("last"))
		if found {
			at++
		}
		tags = tags[at:]
	}
	size := len(tags)
	if query.Has("n") {
		n, err := strconv.Atoi(query.Get("n"))
		if err != nil || n < 0 {
			writeError(w, http.StatusBadRequest, apiError{
				Code: "PAGINATION_NUMBER_INVALID", Message: "invalid number of results requested",
				Detail: map[string]string{"n": query.Get("n")},
			})
			return
		}
		size = min(size, n)
	}
	if h.options.TagPage > 0 {
		size = min(size, h.options.TagPage)
	}
	if 0 < size && size < len(tags) {
		next := url.Values{"last": {tags[size-1]}, "n": {strconv.Itoa(size)}}
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.Path, next.Encode()))
	}
	writeJSON(w, http.StatusOK, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{t.repository(), tags[:size]})
}

// serveReferrers lists the manifests whose subject is a digest (OCI
// Distribution 1.1, §Listing Referrers).
func (h *Hub) serveReferrers(w http.ResponseWriter, r *http.Request, t target) {
	subject, ok := asDigest(t.reference)
	if !ok || (h.options.Shape == DockerHub && !h.options.Referrers) {
		writeUnknown(w, target{path: unknownPath})
		return
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	wanted := r.URL.Query().Get("artifactType")
	for _, m := range h.store.referrers(t.repository(), subject) {
		if wanted != "" && m.artifactType != wanted {
			continue
		}
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: m.mediaType, Digest: m.digest, Size: int64(len(m.raw)),
			ArtifactType: m.artifactType, Annotations: m.annotations,
		})
	}
	if wanted != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	writeBody(w, http.StatusOK, ocispec.MediaTypeImageIndex, marshal(index))
}
