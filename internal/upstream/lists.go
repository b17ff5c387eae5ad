package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

const (
	maxListAnswer = 4 << 20
	// maxPages bounds how many pages of a list are read for one call.
	maxPages = 16
)

// Tags lists tags (OCI Distribution 1.1, §Listing tags). Upstreams that ignore `n` or
// `last`, or page by a mark of their own, are read on for up to 16 pages. A Limit of 0
// or less takes what the upstream gives in one page.
func (r *Registry) Tags(ctx context.Context, as Asker, repo string, page oci.TagPage) (oci.TagList, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	values := url.Values{}
	if page.Limit > 0 {
		values.Set("n", strconv.Itoa(page.Limit))
	}
	if page.Last != "" {
		values.Set("last", page.Last)
	}
	var list oci.TagList
	more, err := r.pages(ctx, as, repo, query{kind: CallTags, path: "tags/list", values: values, what: "listing tags of " + repo}, func(content []byte) (bool, error) {
		var said struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(content, &said); err != nil {
			return false, err
		}
		for _, tag := range said.Tags {
			if tag > page.Last && oci.CheckTag(tag) == nil {
				list.Tags = append(list.Tags, tag)
			}
		}
		return len(list.Tags) < page.Limit, nil
	})
	if err != nil {
		return oci.TagList{}, err
	}
	slices.Sort(list.Tags)
	list.Tags = slices.Compact(list.Tags)
	if page.Limit > 0 && len(list.Tags) > page.Limit {
		list.Tags, more = list.Tags[:page.Limit], true
	}
	// A page without a tag gives its reader no mark to go on from.
	list.More = more && len(list.Tags) > 0
	return list, nil
}

// Referrers lists the manifests whose subject is d as one OCI image index (OCI
// Distribution 1.1, §Listing referrers). An empty artifactType asks for all; a registry
// may ignore it. NotFound means that the registry lacks the API: its referrers, if any,
// are the index under the tag that the specification derives from the digest.
func (r *Registry) Referrers(ctx context.Context, as Asker, repo string, d digest.Digest, artifactType string) ([]byte, error) {
	if _, err := oci.ParseDigest(d.String()); err != nil {
		return nil, fmt.Errorf("%s: %w", r.config.Name, err)
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	values := url.Values{}
	if artifactType != "" {
		values.Set("artifactType", artifactType)
	}
	what := "listing referrers of " + d.String() + " in " + repo
	var index v1.Index
	var whole []byte
	pages := 0
	more, err := r.pages(ctx, as, repo, query{kind: CallReferrers, reference: d.String(), path: "referrers/" + d.String(), values: values, what: what}, func(content []byte) (bool, error) {
		var said v1.Index
		if err := json.Unmarshal(content, &said); err != nil {
			return false, err
		}
		if pages++; pages == 1 {
			index, whole = said, content
			return true, nil
		}
		index.Manifests, whole = append(index.Manifests, said.Manifests...), nil
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if more {
		return nil, &Error{Kind: Invalid, Upstream: r.config.Name, Message: fmt.Sprintf("%s: the list has more than %d pages", what, maxPages)}
	}
	if whole != nil {
		return whole, nil
	}
	return json.Marshal(index)
}

// pages reads a list page by page until it ends, take has enough, or maxPages are
// read. More tells whether another page follows.
func (r *Registry) pages(ctx context.Context, as Asker, repo string, q query, take func(content []byte) (goOn bool, err error)) (more bool, err error) {
	if q.repo, err = r.name(repo); err != nil {
		return false, err
	}
	q.header = http.Header{"Accept": {"application/json, " + v1.MediaTypeImageIndex}}
	for range maxPages {
		got, err := r.do(ctx, as, q)
		if err != nil {
			return false, err
		}
		content, err := r.readAll(got, maxListAnswer, q.what)
		_ = got.Body.Close()
		if err != nil {
			return false, err
		}
		goOn, err := take(content)
		if err != nil {
			return false, &Error{Kind: Invalid, Status: got.StatusCode, Upstream: r.config.Name, Message: q.what, Err: err}
		}
		q.values, more = nextPage(got.Header)
		if !more || !goOn {
			return more, nil
		}
	}
	return true, nil
}

// nextPage reads the query of the link to the next page (RFC 8288). Only the query is
// taken: where the list is read from is not for the upstream to choose.
func nextPage(header http.Header) (url.Values, bool) {
	for _, line := range header.Values("Link") {
		target, parameters, ok := strings.Cut(line, ">")
		if !ok || !strings.Contains(strings.ReplaceAll(parameters, `"`, ""), "rel=next") {
			continue
		}
		u, err := url.Parse(strings.TrimPrefix(strings.TrimSpace(target), "<"))
		if err == nil && u.RawQuery != "" {
			return u.Query(), true
		}
	}
	return nil, false
}
