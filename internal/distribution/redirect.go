package distribution

import (
	"context"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// linking is a project whose clients may be sent to storage for blobs. Cache projects
// are none: what they serve always passes through Larder, which verifies it.
type linking interface {
	// BlobLink returns "" when the blob is to be sent from here.
	BlobLink(ctx context.Context, repo oci.Repository, d digest.Digest) (link string, size int64, err error)
}

// redirectBlob sends the client to storage, when that is wanted; the address in Location
// is a secret (OCI Distribution 1.1, §Pulling blobs). Who asks under conditions is
// answered from here.
func (h *Handler) redirectBlob(ctx context.Context, x *exchange) (sent bool, err error) {
	images, ok := x.target.Images.(linking)
	if !ok {
		return false, nil
	}
	if conditional(x.r) {
		return false, nil
	}
	link, size, err := images.BlobLink(ctx, x.target.Repository, x.route.digest)
	if err != nil || link == "" {
		return false, err
	}
	if err := checkRange(x, size); err != nil {
		return false, err
	}
	header := x.w.Header()
	header.Set("Docker-Content-Digest", x.route.digest.String())
	header.Set("Cache-Control", "no-store")
	header.Set("Location", link)
	header.Set("Content-Length", "0")
	x.w.WriteHeader(http.StatusTemporaryRedirect)
	return true, nil
}

// conditional tells whether a request has a condition that a manifest or a blob may fail
// (RFC 9110, §13.1): neither has a date.
func conditional(r *http.Request) bool {
	for _, condition := range []string{"If-Match", "If-None-Match", "If-Range"} {
		if r.Header.Get(condition) != "" {
			return true
		}
	}
	return false
}
