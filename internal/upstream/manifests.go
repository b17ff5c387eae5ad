package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

// acceptedManifests lists what may come, best first. Docker Hub answers with schema 1,
// or not at all, whoever does not list the type that it holds.
var acceptedManifests = strings.Join([]string{
	v1.MediaTypeImageIndex,
	oci.MediaTypeDockerManifestList,
	v1.MediaTypeImageManifest,
	oci.MediaTypeDockerManifest,
	"application/vnd.oci.artifact.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.5",
	"application/vnd.docker.distribution.manifest.v1+json;q=0.5",
}, ", ")

// StatManifest asks what a tag or digest refers to, by HEAD, which is not counted as a
// pull. The Digest is "" when the upstream did not say, and the Size -1.
func (r *Registry) StatManifest(ctx context.Context, as Asker, repo, ref string) (oci.Descriptor, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	got, err := r.askManifest(ctx, CallManifestHead, as, repo, ref)
	if err != nil {
		return oci.Descriptor{}, err
	}
	discard(got.Response)
	said, err := r.saidDigest(got, ref)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if page(got.Header) {
		return oci.Descriptor{}, r.invalid(got, fmt.Sprintf("reading manifest %s of %s: the upstream answered with a page (%s)", ref, repo, excerpt(got.Header.Get("Content-Type"))))
	}
	if said == "" {
		said = digestOf(ref)
	}
	return oci.Descriptor{MediaType: mediaType(got.Header), Digest: said, Size: got.ContentLength}, nil
}

// Manifest reads a manifest by tag or digest, which upstreams count as a pull. Its
// bytes are as they came, at most oci.MaxManifestSize, and match both the digest asked
// for and the one that the upstream named. By tag the Digest is sha256.
func (r *Registry) Manifest(ctx context.Context, as Asker, repo, ref string) (oci.Manifest, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	got, err := r.askManifest(ctx, CallManifest, as, repo, ref)
	if err != nil {
		return oci.Manifest{}, err
	}
	defer func() { _ = got.Body.Close() }()
	said, err := r.saidDigest(got, ref)
	if err != nil {
		return oci.Manifest{}, err
	}
	what := "reading manifest " + ref + " of " + repo
	content, err := r.readAll(got, oci.MaxManifestSize, what)
	if err != nil {
		return oci.Manifest{}, err
	}
	if !isManifest(content) {
		return oci.Manifest{}, r.invalid(got, fmt.Sprintf("%s: the upstream answered with %s, which is no manifest", what, excerpt(got.Header.Get("Content-Type"))))
	}
	algorithm := digest.SHA256
	if asked := digestOf(ref); asked != "" {
		algorithm = asked.Algorithm()
	}
	for _, want := range []digest.Digest{digestOf(ref), said} {
		if want == "" {
			continue
		}
		if is := want.Algorithm().FromBytes(content); is != want {
			return oci.Manifest{}, r.mismatch(got, repo, ref, fmt.Sprintf("%s: the bytes have digest %s, not %s", what, is, want))
		}
	}
	return oci.Manifest{MediaType: mediaType(got.Header), Digest: algorithm.FromBytes(content), Content: content}, nil
}

func (r *Registry) askManifest(ctx context.Context, kind CallKind, as Asker, repo, ref string) (*answer, error) {
	name, err := r.name(repo)
	if err != nil {
		return nil, err
	}
	if _, err := oci.ParseReference(ref); err != nil {
		return nil, fmt.Errorf("%s: %w", r.config.Name, err)
	}
	return r.do(ctx, as, query{
		kind: kind, repo: name, reference: ref, path: "manifests/" + ref,
		header: http.Header{"Accept": {acceptedManifests}},
		what:   "reading manifest " + ref + " of " + name,
	})
}

// saidDigest reads Docker-Content-Digest (OCI Distribution 1.1, §Pulling manifests),
// which clients may rely on only where it agrees with what was asked for.
func (r *Registry) saidDigest(got *answer, ref string) (digest.Digest, error) {
	value := got.Header.Get("Docker-Content-Digest")
	if value == "" {
		return "", nil
	}
	said, err := oci.ParseDigest(value)
	if err != nil {
		return "", r.invalid(got, fmt.Sprintf("reading manifest %s: the upstream named the digest %q, which is not valid", ref, excerpt(value)))
	}
	asked := digestOf(ref)
	if asked != "" && asked.Algorithm() == said.Algorithm() && asked != said {
		return "", r.invalid(got, fmt.Sprintf("reading manifest %s: the upstream answered with %s", ref, said))
	}
	return said, nil
}

func (r *Registry) invalid(got *answer, message string) error {
	return &Error{Kind: Invalid, Status: got.StatusCode, Upstream: r.config.Name, Message: message}
}

// mismatch refuses bytes that have another digest. That of a signed schema 1 manifest
// leaves out its signatures, so there is nothing that the bytes could be kept under.
func (r *Registry) mismatch(got *answer, repo, ref, message string) error {
	failure := &Error{Kind: Invalid, Status: got.StatusCode, Upstream: r.config.Name, Message: message}
	if oci.IsSchema1(mediaType(got.Header)) {
		separator := ":"
		if digestOf(ref) != "" {
			separator = "@"
		}
		failure.Err = &oci.Schema1Error{From: r.config.URL.Host + "/" + repo + separator + ref, Plain: r.config.URL.Scheme == "http"}
	}
	return failure
}

// page tells the answer of a captive portal, a proxy or a web interface, which all say
// 200 as well, from a registry's own.
func page(header http.Header) bool {
	is := mediaType(header)
	return header.Get("Docker-Content-Digest") == "" && (is == "text/html" || is == "application/xhtml+xml")
}

// isManifest tells whether it can be one: a JSON object that says what it is.
func isManifest(content []byte) bool {
	var said struct {
		SchemaVersion int    `json:"schemaVersion"`
		MediaType     string `json:"mediaType"`
	}
	return json.Unmarshal(content, &said) == nil && (said.SchemaVersion != 0 || said.MediaType != "")
}

// digestOf is the digest that a reference is, or "" for a tag.
func digestOf(ref string) digest.Digest {
	parsed, err := oci.ParseReference(ref)
	if err != nil {
		return ""
	}
	return parsed.Digest
}

// mediaType is the Content-Type without parameters.
func mediaType(header http.Header) string {
	parsed, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return parsed
}
