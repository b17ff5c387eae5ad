package distribution

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/oci"
)

// explainSchema1 adds the line that converts an image to the refusal of a manifest in
// Docker schema 1. Where the image comes from is only for the client to know: such a
// manifest has a name, but clients change it to that of the destination.
func (h *Handler) explainSchema1(x *exchange, err error) error {
	if !errors.Is(err, oci.ErrSchema1) {
		return err
	}
	return &oci.Error{
		Code: oci.CodeManifestInvalid,
		Message: fmt.Sprintf("Docker schema 1 images are not accepted: convert it on its way, where SOURCE is the image as it is now, such as old.example.com/app:1: %s",
			h.conversion(x, "SOURCE", x.target.Repository)),
		Err: err,
	}
}

// readable refuses to send a manifest in Docker schema 1 to a client that does not
// accept it.
func (h *Handler) readable(ctx context.Context, x *exchange, m oci.Manifest) error {
	// A mirror's clients go on to the upstream, which answers them as it likes.
	if !oci.IsSchema1(m.MediaType) || h.mirror != nil || accepts(x.r.Header, m.MediaType) {
		return nil
	}
	separator := ":"
	if !x.route.reference.ByTag() {
		separator = "@"
	}
	scheme, host := h.Origin(x.r)
	image := oci.Schema1Error{From: host + "/" + x.target.Repository.String() + separator + x.route.reference.String(), Plain: scheme == "http"}
	return h.convertHere(ctx, x, &image, oci.CodeManifestUnknown, "your client does not accept")
}

// explainUpstream adds the line that converts an image to the error about one in Docker
// schema 1 that cannot be had from its upstream.
func (h *Handler) explainUpstream(ctx context.Context, x *exchange, err error) error {
	image, ok := errors.AsType[*oci.Schema1Error](err)
	if !ok || h.mirror != nil {
		return err
	}
	return h.convertHere(ctx, x, image, oci.CodeUpstreamInvalid, "cannot be cached")
}

// convertHere refuses an image and says how to convert it into a hosted project, one
// that the caller may push to if there is any.
func (h *Handler) convertHere(ctx context.Context, x *exchange, image *oci.Schema1Error, code oci.Code, why string) error {
	to, found, err := h.hostedInstead(ctx, x)
	if err != nil {
		return err
	}
	if !found {
		to = oci.Repository("PROJECT/" + baseName(x.target.Repository))
	}
	c := h.conversion(x, image.From, to)
	c.PlainFrom = image.Plain
	return &oci.Error{
		Code:    code,
		Message: fmt.Sprintf("%s is an image in Docker schema 1, which %s: convert it into a hosted project, and pull it from there: %s", image.From, why, c),
		Err:     image,
	}
}

// conversion ends at a repository of this registry, with the tag that was asked for.
func (h *Handler) conversion(x *exchange, from string, to oci.Repository) oci.Conversion {
	scheme, host := h.Origin(x.r)
	tag := "latest"
	if x.route.reference.ByTag() {
		tag = x.route.reference.Tag
	}
	return oci.Conversion{From: from, To: host + "/" + to.String() + ":" + tag, PlainTo: scheme == "http"}
}

// accepts tells whether the Accept headers name a media type (RFC 9110, §12.5.1). A
// client without one takes everything.
func accepts(header http.Header, mediaType string) bool {
	lines := header.Values("Accept")
	if len(lines) == 0 {
		return true
	}
	for entry := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		got, _, err := mime.ParseMediaType(entry)
		if err == nil && slices.Contains([]string{mediaType, "*/*", "application/*"}, got) {
			return true
		}
	}
	return false
}
