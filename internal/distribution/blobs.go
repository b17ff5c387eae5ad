package distribution

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

const mediaTypeBlob = "application/octet-stream"

// stored is a blob whose bytes lie in storage.
type stored interface{ Stored() io.ReadSeeker }

// getBlob sends a blob or ranges of it (OCI Distribution 1.1, §Pulling blobs).
func (h *Handler) getBlob(ctx context.Context, x *exchange) error {
	if sent, err := h.redirectBlob(ctx, x); sent || err != nil {
		return err
	}
	blob, served, err := x.target.Images.Blob(ctx, h.caller(x), x.target.Repository, x.route.digest)
	x.tell(served)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }()
	describeContent(x.w.Header(), mediaTypeBlob, x.route.digest)
	s, isStored := blob.(stored)
	if !isStored && strings.Contains(x.r.Header.Get("Range"), ",") {
		x.r.Header.Del("Range") // several ranges of what is still coming in: the whole is sent (RFC 9110, §14.2)
	}
	if err := checkRange(x, blob.Size()); err != nil {
		return err
	}
	if isStored {
		return h.sendStored(ctx, x, blob, s.Stored())
	}
	return h.sendFollowed(ctx, x, blob)
}

// sendStored leaves the sending to the server, which leaves a file to the kernel. The
// last byte is sent once the bytes are known to be the blob's.
func (h *Handler) sendStored(ctx context.Context, x *exchange, blob oci.Blob, content io.ReadSeeker) error {
	if blob.Size() == 0 { // nothing could be withheld
		if err := blob.Verified(ctx); err != nil {
			return err
		}
	}
	held := heldFile{newHeldWriter(x.w)}
	serveContent(held, x.r, content)
	err := verifyEnd(ctx, x, blob, held)
	if err == nil {
		err = held.release()
	}
	if err != nil {
		h.abort(x, err)
	}
	return nil
}

// verifyEnd returns nil when all but the last byte of a response was sent, and that
// byte may follow.
func verifyEnd(ctx context.Context, x *exchange, blob oci.Blob, held heldFile) error {
	sent := x.w.written
	if held.holding {
		sent++
	}
	promised, err := strconv.ParseInt(x.w.Header().Get("Content-Length"), 10, 64)
	if err == nil && sent < promised {
		return fmt.Errorf("only %d of %d bytes were sent", sent, promised)
	}
	if !held.holding { // there is no body: a condition of the request decided so
		return nil
	}
	x.w.pause() // it is not the client that is waited for
	return blob.Verified(ctx)
}

// headBlob describes a blob (OCI Distribution 1.1, §Checking if content exists in the
// registry).
func (h *Handler) headBlob(ctx context.Context, x *exchange) error {
	d, served, err := x.target.Images.StatBlob(ctx, h.caller(x), x.target.Repository, x.route.digest)
	x.tell(served)
	if err != nil {
		return err
	}
	describeContent(x.w.Header(), mediaTypeBlob, x.route.digest)
	sendHead(x, d.Size)
	return nil
}

// deleteBlob takes a blob out of the repository (OCI Distribution 1.1, §Deleting Blobs).
func (h *Handler) deleteBlob(ctx context.Context, x *exchange) error {
	if err := x.target.Images.DeleteBlob(ctx, x.target.Repository, x.route.digest); err != nil {
		return err
	}
	accepted(x)
	return nil
}

// describeContent sets the headers that every answer with a manifest or a blob has.
func describeContent(header http.Header, mediaType string, d digest.Digest) {
	header.Set("Content-Type", mediaType)
	header.Set("Docker-Content-Digest", d.String())
	header.Set("ETag", `"`+d.String()+`"`)
}

// serveContent answers conditions and ranges (RFC 9110, §13 and §14).
func serveContent(w http.ResponseWriter, r *http.Request, content io.ReadSeeker) {
	http.ServeContent(w, r, "", time.Time{}, content)
}

// sendHead answers a HEAD for size bytes, -1 when they are not known. Ranges are
// defined for GET alone (RFC 9110, §14.2).
func sendHead(x *exchange, size int64) {
	if size < 0 {
		x.w.WriteHeader(http.StatusOK)
		return
	}
	x.r.Header.Del("Range")
	serveContent(x.w, x.r, io.NewSectionReader(noBytes{}, 0, size))
}

// noBytes stands for content that is described and not read.
type noBytes struct{}

func (noBytes) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
