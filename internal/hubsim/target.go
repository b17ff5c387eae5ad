package hubsim

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
)

// PathKind groups the paths that requests go to.
type PathKind string

// The kinds of paths. AnyPath is for Fault alone.
const (
	AnyPath       PathKind = ""
	BasePath      PathKind = "base"      // /v2/
	ManifestPath  PathKind = "manifest"  // /v2/NAME/manifests/REFERENCE
	BlobPath      PathKind = "blob"      // /v2/NAME/blobs/DIGEST
	TagsPath      PathKind = "tags"      // /v2/NAME/tags/list
	ReferrersPath PathKind = "referrers" // /v2/NAME/referrers/DIGEST
	TokenPath     PathKind = "token"     // /token
	CDNPath       PathKind = "cdn"       // a blob on the CDN
	unknownPath   PathKind = "unknown"
)

// target is what a request is about.
type target struct {
	service   Service
	path      PathKind
	reference string // tag or digest
	// repositories is the one repository of a registry request, those of a
	// token's scopes, or those that link a blob on the CDN.
	repositories []string
	label        string // the path as it is recorded
}

func (t target) repository() string {
	if len(t.repositories) == 0 {
		return ""
	}
	return t.repositories[0]
}

func (h *Hub) parse(service Service, r *http.Request) target {
	switch {
	case service == CDN:
		return h.parseCDN(r)
	case r.URL.Path == "/token" && (service == Auth || h.options.TokensOnRegistry):
		return parseToken(r)
	case service == Auth:
		return target{service: Auth, path: unknownPath, label: "auth" + r.URL.Path}
	default:
		return parseRegistry(r)
	}
}

func (h *Hub) parseCDN(r *http.Request) target {
	t := target{service: CDN, path: unknownPath, label: "cdn" + r.URL.Path}
	if d, ok := digestOfLink(r.URL.Path); ok {
		t.path = CDNPath
		t.reference = d.String()
		t.repositories = h.store.linking(d)
		t.label = "cdn/" + d.String()
	}
	return t
}

func parseToken(r *http.Request) target {
	t := target{service: Auth, path: TokenPath}
	scopes := scopesOf(r.URL.Query())
	for _, s := range scopes {
		if s.kind == "repository" {
			t.repositories = append(t.repositories, s.name)
		}
	}
	t.label = strings.Join(append([]string{"auth/token"}, strings.Fields(strings.Join(r.URL.Query()["scope"], " "))...), " ")
	return t
}

func parseRegistry(r *http.Request) target {
	t := target{service: Registry, path: unknownPath, label: r.URL.Path + meaningfulQuery(r.URL.Query())}
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	if !ok {
		return t
	}
	if rest == "" {
		t.path = BasePath
		return t
	}
	cut := strings.LastIndexByte(rest, '/')
	if cut < 0 {
		return t
	}
	head, reference := rest[:cut], rest[cut+1:]
	for suffix, path := range map[string]PathKind{
		"/manifests": ManifestPath, "/blobs": BlobPath, "/tags": TagsPath, "/referrers": ReferrersPath,
	} {
		name, found := strings.CutSuffix(head, suffix)
		if !found || name == "" || reference == "" || (path == TagsPath && reference != "list") {
			continue
		}
		t.path, t.repositories = path, []string{name}
		if path != TagsPath {
			t.reference = reference
		}
	}
	return t
}

// meaningfulQuery keeps what changes the answer, in one order.
func meaningfulQuery(query url.Values) string {
	kept := url.Values{}
	for _, key := range []string{"n", "last", "artifactType"} {
		if query.Has(key) {
			kept.Set(key, query.Get(key))
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return "?" + kept.Encode()
}

// asDigest reports whether a reference is a digest rather than a tag.
func asDigest(reference string) (digest.Digest, bool) {
	d, err := digest.Parse(reference)
	return d, err == nil
}
