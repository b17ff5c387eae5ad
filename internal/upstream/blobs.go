package upstream

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// StatBlob asks for a blob's size by HEAD. The Size is -1 when the upstream did not say.
func (r *Registry) StatBlob(ctx context.Context, as Asker, repo string, d digest.Digest) (oci.Descriptor, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	got, err := r.askBlob(ctx, CallBlobHead, as, repo, d, 0)
	if err != nil {
		return oci.Descriptor{}, err
	}
	discard(got.Response)
	if page(got.Header) {
		return oci.Descriptor{}, r.invalid(got, fmt.Sprintf("looking for blob %s of %s: the upstream answered with a page (%s)", d, repo, excerpt(got.Header.Get("Content-Type"))))
	}
	return oci.Descriptor{MediaType: mediaType(got.Header), Digest: d, Size: got.ContentLength}, nil
}

// Blob opens a blob from offset on (OCI Distribution 1.1, §Pulling blobs). The registry
// is asked each time, since the links that it redirects to are short-lived. The caller
// closes the body, whose life is ctx's.
func (r *Registry) Blob(ctx context.Context, as Asker, repo string, d digest.Digest, offset int64) (*Body, error) {
	got, err := r.askBlob(ctx, CallBlob, as, repo, d, offset)
	if err != nil {
		return nil, err
	}
	if got.StatusCode == http.StatusOK {
		return &Body{ReadCloser: got.Body, Size: got.ContentLength}, nil
	}
	header := got.Header.Get("Content-Range")
	start, size, ok := parseContentRange(header)
	if !ok || start != offset {
		_ = got.Body.Close()
		return nil, r.invalid(got, fmt.Sprintf("reading blob %s of %s from byte %d: the upstream answered with the range %q", d, repo, offset, excerpt(header)))
	}
	return &Body{ReadCloser: got.Body, Offset: start, Size: size}, nil
}

func (r *Registry) askBlob(ctx context.Context, kind CallKind, as Asker, repo string, d digest.Digest, offset int64) (*answer, error) {
	name, err := r.name(repo)
	if err != nil {
		return nil, err
	}
	if _, err := oci.ParseDigest(d.String()); err != nil {
		return nil, fmt.Errorf("%s: %w", r.config.Name, err)
	}
	header := http.Header{}
	if offset > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
	}
	return r.do(ctx, as, query{
		kind: kind, repo: name, reference: d.String(), path: "blobs/" + d.String(), header: header,
		what: "reading blob " + d.String() + " of " + name,
	})
}

// parseContentRange reads `bytes 0-9/10` (RFC 9110, §14.4). The size is -1 for `*`.
func parseContentRange(value string) (start, size int64, ok bool) {
	unit, spec, _ := strings.Cut(strings.TrimSpace(value), " ")
	span, total, found := strings.Cut(spec, "/")
	first, last, dash := strings.Cut(span, "-")
	if !strings.EqualFold(unit, "bytes") || !found || !dash {
		return 0, 0, false
	}
	start, err := number(first)
	if err != nil {
		return 0, 0, false
	}
	end, err := number(last)
	if err != nil || end < start {
		return 0, 0, false
	}
	if total == "*" {
		return start, -1, true
	}
	size, err = number(total)
	return start, size, err == nil && size > end
}

// number reads decimal digits; a sign is not one.
func number(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err
}
