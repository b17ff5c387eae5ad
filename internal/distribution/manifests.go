package distribution

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// maxTags is how many tags one push may set.
const maxTags = 100

// Pulls is told of each pull: a manifest that was asked for with GET. It does not wait.
type Pulls interface {
	Pulled(repo oci.Repository, m oci.Manifest)
}

// getManifest sends a manifest (OCI Distribution 1.1, §Pulling manifests).
func (h *Handler) getManifest(ctx context.Context, x *exchange) error {
	pull, err := h.takePull(x)
	if err != nil {
		return err
	}
	defer pull.GiveBack()
	m, served, err := x.target.Images.Manifest(ctx, h.caller(x), x.target.Repository, x.route.reference)
	h.tell(x, served, m.Digest)
	if err != nil {
		return h.explainUpstream(ctx, x, err)
	}
	if err := h.readable(ctx, x, m); err != nil {
		return err
	}
	describeContent(x.w.Header(), m.MediaType, m.Digest)
	if err := checkRange(x, int64(len(m.Content))); err != nil {
		return err
	}
	if h.Pulls != nil {
		h.Pulls.Pulled(x.target.Repository, m)
	}
	h.countPull(x, pull, m)
	h.tellMirrored(x, m.Digest)
	if !sendWhole(x, int64(len(m.Content)), m.Content) {
		serveContent(x.w, x.r, bytes.NewReader(m.Content))
	}
	return nil
}

// headManifest describes a manifest (OCI Distribution 1.1, §Checking if content exists
// in the registry).
func (h *Handler) headManifest(ctx context.Context, x *exchange) error {
	d, served, err := x.target.Images.StatManifest(ctx, h.caller(x), x.target.Repository, x.route.reference)
	h.tell(x, served, d.Digest)
	if err != nil {
		return err
	}
	describeContent(x.w.Header(), d.MediaType, d.Digest)
	h.tellStanding(x)
	h.tellMirrored(x, d.Digest)
	if !sendWhole(x, d.Size, nil) {
		sendHead(x, d.Size)
	}
	return nil
}

// sendWhole answers who wants the whole of a manifest under no condition, content being nil
// of a HEAD, and says whether it did: not what is too large to be sent at once. It does not
// tell that ranges are possible: with the headers of a counted pull that would be more than
// eight, for which net/http makes two larger maps for each answer.
func sendWhole(x *exchange, size int64, content []byte) bool {
	if size < 0 || size > pieceSize || conditional(x.r) || x.r.Header.Get("Range") != "" {
		return false
	}
	x.w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(content) // a client that has gone is no fault
	return true
}

// tellMirrored tells of what mirrors get. A node that has an image only asks what its tag is.
func (h *Handler) tellMirrored(x *exchange, given digest.Digest) {
	if h.Mirrored != nil && x.target.Namespace != "" {
		h.Mirrored(x.target.Repository, x.route.reference, given)
	}
}

// putManifest stores a manifest under a digest or a tag, and under the tags of the
// query (OCI Distribution 1.1, §Pushing Manifests; tag parameters are of its main
// branch).
func (h *Handler) putManifest(ctx context.Context, x *exchange) error {
	tags := x.r.URL.Query()["tag"]
	if err := checkTags(tags); err != nil {
		return err
	}
	content, err := readManifest(x.r)
	if err != nil {
		return err
	}
	receipt, err := h.Hosted.PutManifest(ctx, x.target.Repository, registry.ManifestPush{
		Reference: x.route.reference,
		Tags:      tags,
		MediaType: x.r.Header.Get("Content-Type"),
		Content:   content,
		Actor:     x.who.identity.User,
	})
	if err != nil {
		return h.explainSchema1(x, err)
	}
	header := x.w.Header()
	if receipt.Subject != "" {
		header.Set("OCI-Subject", receipt.Subject.String())
	}
	for _, tag := range tags {
		header.Add("OCI-Tag", tag)
	}
	created(x, "manifests/", receipt.Digest)
	return nil
}

func checkTags(tags []string) error {
	if len(tags) > maxTags {
		return &oci.Error{Code: oci.CodeTagInvalid, Message: fmt.Sprintf("%d tags are too many for one request: the limit is %d", len(tags), maxTags)}
	}
	for _, tag := range tags {
		if err := oci.CheckTag(tag); err != nil {
			return err
		}
	}
	return nil
}

// readManifest reads a body that may not be larger than a manifest. The error is
// TOO_LARGE, or MANIFEST_INVALID when the body is empty or breaks off.
func readManifest(r *http.Request) ([]byte, error) {
	tooLarge := &oci.Error{Code: oci.CodeTooLarge, Message: fmt.Sprintf("the manifest has more than %d bytes, the limit", oci.MaxManifestSize)}
	if r.ContentLength > oci.MaxManifestSize {
		return nil, tooLarge
	}
	content, err := io.ReadAll(io.LimitReader(r.Body, oci.MaxManifestSize+1))
	if err != nil {
		return nil, &oci.Error{Code: oci.CodeManifestInvalid, Message: "the manifest did not arrive whole: push it again", Err: err}
	}
	if len(content) > oci.MaxManifestSize {
		return nil, tooLarge
	}
	if len(content) == 0 {
		return nil, &oci.Error{Code: oci.CodeManifestInvalid, Message: "the request has no body: send the manifest"}
	}
	return content, nil
}

// deleteManifest removes a manifest or a tag (OCI Distribution 1.1, §Deleting Manifests
// and §Deleting tags).
func (h *Handler) deleteManifest(ctx context.Context, x *exchange) error {
	var err error
	if x.route.reference.ByTag() {
		err = x.target.Images.DeleteTag(ctx, x.target.Repository, x.route.reference.Tag)
	} else {
		err = x.target.Images.DeleteManifest(ctx, x.target.Repository, x.route.reference.Digest)
	}
	if err != nil {
		return err
	}
	accepted(x)
	return nil
}
