package distribution

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// endpoint is one of the protocol's endpoints (OCI Distribution 1.1, §Endpoints).
type endpoint string

const (
	endpointBase      endpoint = "base"
	endpointCatalog   endpoint = "catalog"
	endpointManifest  endpoint = "manifest"
	endpointBlob      endpoint = "blob"
	endpointUploads   endpoint = "uploads"
	endpointUpload    endpoint = "upload"
	endpointTags      endpoint = "tags"
	endpointReferrers endpoint = "referrers"
)

const (
	pathBase       = "/v2/"
	uploadsSegment = "uploads"
	// maxPath is longer than any path with a name and a digest of legal length.
	maxPath = 2048
)

// route is a request's path as a value. The fields beyond Name are set as the
// endpoint needs them.
type route struct {
	endpoint  endpoint
	name      string // follows the grammar of repository names; "" for base and catalog
	reference oci.Reference
	digest    digest.Digest
	upload    string // a UUID
}

// parseRoute reads an escaped path (url.URL.EscapedPath) from its end, since a
// repository's name may hold any word. The error is an *oci.Error; with one, the route
// has the name when that much of the path is good, and nothing else.
func parseRoute(method, escaped string) (route, error) {
	if len(escaped) > maxPath {
		return route{}, &oci.Error{Code: oci.CodeNameInvalid, Message: "the path is too long"}
	}
	if escaped == strings.TrimSuffix(pathBase, "/") || escaped == pathBase {
		return route{endpoint: endpointBase}, nil
	}
	rest, ok := strings.CutPrefix(escaped, pathBase)
	if !ok {
		return route{}, unknownPath()
	}
	segments, err := unescape(rest)
	if err != nil {
		return route{}, err
	}
	if len(segments) == 1 && segments[0] == "_catalog" {
		return route{endpoint: endpointCatalog}, nil
	}
	rt, name, err := parseTail(method, segments)
	if nameErr := oci.CheckName(name); rt.endpoint != "" && nameErr != nil {
		return route{}, nameErr
	}
	if err != nil {
		return route{name: name}, err
	}
	rt.name = name
	return rt, nil
}

// parseTail finds the endpoint in the last segments and returns the ones before it,
// joined. The endpoint is set also when what follows it is wrong.
func parseTail(method string, s []string) (rt route, name string, err error) {
	n := len(s)
	before := func(count int) string { return strings.Join(s[:n-count], "/") }
	switch {
	case n > 2 && s[n-2] == "manifests":
		ref, err := parseReference(method, s[n-1])
		return route{endpoint: endpointManifest, reference: ref}, before(2), err
	case n > 2 && s[n-2] == "blobs" && s[n-1] == uploadsSegment:
		return route{endpoint: endpointUploads}, before(2), nil
	case n > 2 && s[n-2] == "blobs":
		d, err := oci.ParseDigest(s[n-1])
		return route{endpoint: endpointBlob, digest: d}, before(2), err
	case n > 3 && s[n-3] == "blobs" && s[n-2] == uploadsSegment && s[n-1] == "":
		return route{endpoint: endpointUploads}, before(3), nil
	case n > 3 && s[n-3] == "blobs" && s[n-2] == uploadsSegment:
		id, err := parseUpload(s[n-1])
		return route{endpoint: endpointUpload, upload: id}, before(3), err
	case n > 2 && s[n-2] == "tags" && s[n-1] == "list":
		return route{endpoint: endpointTags}, before(2), nil
	case n > 2 && s[n-2] == "referrers":
		d, err := oci.ParseDigest(s[n-1])
		return route{endpoint: endpointReferrers, digest: d}, before(2), err
	}
	return route{}, "", unknownPath()
}

// unescape splits a path before it decodes it, so that an encoded slash can never
// move the border between name and endpoint.
func unescape(path string) ([]string, error) {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return nil, &oci.Error{Code: oci.CodeNameInvalid, Message: "the path cannot be read: it is not percent-encoded correctly"}
		}
		if strings.Contains(plain, "/") {
			return nil, &oci.Error{Code: oci.CodeNameInvalid, Message: "the path holds an encoded slash: write / between the segments of a name"}
		}
		segments[i] = plain
	}
	return segments, nil
}

// parseReference treats what cannot be a tag as one that does not exist, unless it is
// to be created.
func parseReference(method, s string) (oci.Reference, error) {
	ref, err := oci.ParseReference(s)
	if s == "" {
		err = &oci.Error{Code: oci.CodeTagInvalid, Message: "the path ends without a tag or a digest"}
	}
	if method != http.MethodPut && oci.CodeOf(err) == oci.CodeTagInvalid {
		return ref, &oci.Error{Code: oci.CodeManifestUnknown, Message: err.Error()}
	}
	return ref, err
}

func parseUpload(s string) (string, error) {
	const uuidLength = 36
	if id, err := uuid.Parse(s); err == nil && len(s) == uuidLength {
		return id.String(), nil
	}
	return "", &oci.Error{Code: oci.CodeBlobUploadUnknown, Message: "there is no such upload: its URL is the Location that the registry gave"}
}

func unknownPath() error {
	return &oci.Error{Code: oci.CodeNameUnknown, Message: "the registry has no such path: the OCI Distribution specification lists those below /v2/"}
}
