package distribution

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/oci"
)

// startUpload mounts a blob, takes one that comes whole, or begins an upload (OCI
// Distribution 1.1, §Pushing blobs).
func (h *Handler) startUpload(ctx context.Context, x *exchange) error {
	query := x.r.URL.Query()
	if query.Has("mount") {
		mounted, err := h.mount(ctx, x, query.Get("mount"), query.Get("from"))
		if mounted || err != nil {
			return err
		}
	}
	if query.Has("digest") {
		d, err := oci.ParseDigest(query.Get("digest"))
		if err != nil {
			return err
		}
		if err := h.Hosted.PutBlob(ctx, x.target.Repository, d, announced(x.r)); err != nil {
			return err
		}
		created(x, "blobs/", d)
		return nil
	}
	alg, err := parseAlgorithm(query.Get("digest-algorithm"))
	if err != nil {
		return err
	}
	id, err := h.Hosted.StartUpload(ctx, x.target.Repository, alg)
	if err != nil {
		return err
	}
	x.route.upload = id
	uploading(x, 0, http.StatusAccepted)
	return nil
}

// mount links a blob of another repository which the caller may read. When it cannot,
// an upload is the answer (OCI Distribution 1.1, §Mounting a blob from another
// repository); without the source's name nothing shows that the caller may read it.
func (h *Handler) mount(ctx context.Context, x *exchange, mount, from string) (mounted bool, err error) {
	d, err := oci.ParseDigest(mount)
	if err != nil {
		return false, err
	}
	if from == "" {
		return false, nil
	}
	if err := oci.CheckName(from); err != nil {
		return false, err
	}
	source, err := h.Resolver.Resolve(ctx, from, "")
	if err != nil || source.Kind == "" {
		return false, nil
	}
	may, err := h.mayList(ctx, x, h.Authorizer.Allowed, source)
	if err != nil || !may {
		return false, err
	}
	if !mountCovered(x.who.access, source.Repository.String(), from) {
		return false, loginNeeded("the token does not cover %s: ask for one with that scope", x.scope)
	}
	err = h.Hosted.MountBlob(ctx, x.target.Repository, source.Repository, d)
	if oci.CodeOf(err) == oci.CodeBlobUnknown {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	created(x, "blobs/", d)
	return true, nil
}

// mountCovered tells whether a token's cap holds reading the source, by either name.
func mountCovered(access []authn.Access, resolved, asked string) bool {
	return authn.Covers(access, authn.TypeRepository, resolved, authn.ActionPull) ||
		authn.Covers(access, authn.TypeRepository, asked, authn.ActionPull)
}

// parseAlgorithm reads digest-algorithm (OCI Distribution main branch, §Pushing a blob
// in chunks).
func parseAlgorithm(s string) (digest.Algorithm, error) {
	switch alg := digest.Algorithm(s); alg {
	case "":
		return digest.SHA256, nil
	case digest.SHA256, digest.SHA512:
		return alg, nil
	}
	return "", &oci.Error{Code: oci.CodeDigestInvalid, Message: fmt.Sprintf("digest-algorithm %.40q is not supported: use sha256 or sha512", s)}
}

// uploadStatus tells where an upload goes on.
func (h *Handler) uploadStatus(ctx context.Context, x *exchange) error {
	offset, err := h.Hosted.UploadStatus(ctx, x.target.Repository, x.route.upload)
	if err != nil {
		return err
	}
	uploading(x, offset, http.StatusNoContent)
	return nil
}

// appendUpload takes a chunk, or a stream of unknown length.
func (h *Handler) appendUpload(ctx context.Context, x *exchange) error {
	start, body, err := requestChunk(x.r)
	if err != nil {
		return err
	}
	offset, err := h.Hosted.AppendUpload(ctx, x.target.Repository, x.route.upload, start, body)
	if err != nil {
		return h.uploadFailed(ctx, x, err)
	}
	uploading(x, offset, http.StatusAccepted)
	return nil
}

// finishUpload takes the last chunk, if any, and closes the session.
func (h *Handler) finishUpload(ctx context.Context, x *exchange) error {
	d, err := oci.ParseDigest(x.r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	start, body, err := requestChunk(x.r)
	if err != nil {
		return err
	}
	if err := h.Hosted.FinishUpload(ctx, x.target.Repository, x.route.upload, d, start, body); err != nil {
		return h.uploadFailed(ctx, x, err)
	}
	created(x, "blobs/", d)
	return nil
}

// cancelUpload drops an upload (OCI Distribution 1.1, §Cancel a blob upload).
func (h *Handler) cancelUpload(ctx context.Context, x *exchange) error {
	if err := h.Hosted.CancelUpload(ctx, x.target.Repository, x.route.upload); err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// uploadFailed tells with the error where the upload goes on, if it does.
func (h *Handler) uploadFailed(ctx context.Context, x *exchange, cause error) error {
	if offset, err := h.Hosted.UploadStatus(ctx, x.target.Repository, x.route.upload); err == nil {
		describeUpload(x, offset)
	}
	return cause
}

func uploading(x *exchange, offset int64, status int) {
	describeUpload(x, offset)
	if status != http.StatusNoContent {
		x.w.Header().Set("Content-Length", "0")
	}
	x.w.WriteHeader(status)
}

// describeUpload sets the headers of an unfinished upload. Range names the last byte
// that is kept; clients know 0-0 as nothing yet.
func describeUpload(x *exchange, offset int64) {
	header := x.w.Header()
	header.Set("Location", pathBase+x.target.Repository.String()+"/blobs/uploads/"+x.route.upload)
	header.Set("Range", "0-"+strconv.FormatInt(max(offset-1, 0), 10))
	header.Set("Docker-Upload-UUID", x.route.upload)
}

// created answers a push with where the content is now.
func created(x *exchange, kind string, d digest.Digest) {
	header := x.w.Header()
	header.Set("Location", pathBase+x.target.Repository.String()+"/"+kind+d.String())
	header.Set("Docker-Content-Digest", d.String())
	header.Set("Content-Length", "0")
	x.w.WriteHeader(http.StatusCreated)
}
