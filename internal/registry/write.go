package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// copyBuffer is how much is read from a client, hashed and written at a time.
	copyBuffer = 128 << 10
	// saveLimit bounds how long keeping a broken upload's bytes may take.
	saveLimit = time.Minute
)

// AppendUpload adds bytes to an upload and returns its new offset (OCI Distribution
// 1.1, §Pushing a blob in chunks). Start is where the chunk says that it begins; nil
// means wherever the upload is. A body that breaks off keeps what arrived. Errors:
// BLOB_UPLOAD_UNKNOWN, RANGE_INVALID when start is not the upload's offset,
// BLOB_UPLOAD_INVALID when the body broke off or another request is writing, DENIED when
// the project has no room for as much, after which the upload is gone.
func (r *Registry) AppendUpload(ctx context.Context, repo oci.Repository, id string, start *int64, body io.Reader) (offset int64, err error) {
	r.roomForRows(ctx)
	s, err := r.openSession(ctx, repo, id, start)
	if err != nil {
		return 0, err
	}
	defer s.release()
	upload, err := s.resume(ctx, s.state.Algorithm)
	if err != nil {
		return 0, err
	}
	allowed, err := r.allowanceFor(ctx, repo, "")
	if err != nil {
		return 0, errors.Join(err, s.settle(ctx, upload, err))
	}
	broken := r.receive(ctx, upload, allowed, body, repo)
	if err := s.settle(ctx, upload, broken); err != nil {
		return 0, errors.Join(broken, err)
	}
	return s.row.Offset, broken
}

// FinishUpload adds the last bytes, if any, verifies the whole against d and links
// the blob to the repository. Errors are those of AppendUpload, and DIGEST_INVALID, after
// which the upload is gone, too.
func (r *Registry) FinishUpload(ctx context.Context, repo oci.Repository, id string, d digest.Digest, start *int64, body io.Reader) error {
	r.roomForRows(ctx)
	s, err := r.openSession(ctx, repo, id, start)
	if err != nil {
		return err
	}
	defer s.release()
	return s.finish(ctx, d, body)
}

func (s *session) finish(ctx context.Context, d digest.Digest, body io.Reader) error {
	r, repo := s.registry, oci.Repository(s.row.Repository)
	upload, err := s.resume(ctx, d.Algorithm())
	if err != nil {
		return err
	}
	allowed, err := r.allowanceFor(ctx, repo, d)
	if err != nil {
		return errors.Join(err, s.settle(ctx, upload, err))
	}
	if broken := r.receive(ctx, upload, allowed, body, repo); broken != nil {
		return errors.Join(broken, s.settle(ctx, upload, broken))
	}
	if lost := s.lost(); lost != nil { // its bytes are another's to make a blob of
		return uploadBusy(s.row.ID, lost)
	}
	err = r.commit(ctx, repo, upload, d)
	if code := oci.CodeOf(err); err != nil && code != oci.CodeDigestInvalid && code != oci.CodeDenied {
		return errors.Join(err, s.settle(ctx, upload, err))
	}
	if dropped := r.db.Uploads.Delete(ctx, s.row.ID); dropped != nil {
		return errors.Join(err, fmt.Errorf("ending upload %s: %w", s.row.ID, dropped))
	}
	return err
}

// PutBlob stores a blob whose bytes come in one piece (OCI Distribution 1.1, §Single
// POST). The error is DIGEST_INVALID when they do not have the digest, DENIED when the
// project has no room for them.
func (r *Registry) PutBlob(ctx context.Context, repo oci.Repository, d digest.Digest, body io.Reader) error {
	r.roomForRows(ctx)
	upload, err := r.blobs.Create(ctx, d.Algorithm())
	if err != nil {
		return r.stored("beginning an upload", repo, err)
	}
	allowed, err := r.allowanceFor(ctx, repo, d)
	if err == nil {
		err = r.receive(ctx, upload, allowed, body, repo)
	}
	if err != nil {
		return errors.Join(err, upload.Cancel(context.WithoutCancel(ctx)))
	}
	if err := r.commit(ctx, repo, upload, d); err != nil {
		return errors.Join(err, upload.Cancel(context.WithoutCancel(ctx)))
	}
	return nil
}

// commit verifies an upload, makes it durable, and links it. Where its row is refused, for
// want of room or by a quota, its bytes do not stay either.
func (r *Registry) commit(ctx context.Context, repo oci.Repository, upload blob.Upload, d digest.Digest) error {
	key, err := r.store(ctx, repo, upload, d)
	if key != "" && oci.CodeOf(err) != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
		defer cancel()
		err = errors.Join(err, r.Discard(ctx, d, key))
	}
	return err
}

// store also returns the key of bytes that are durable, and that could not be linked.
func (r *Registry) store(ctx context.Context, repo oci.Repository, upload blob.Upload, d digest.Digest) (key string, err error) {
	defer r.guard.Storing(d)()
	size := upload.Size()
	key, err = upload.Commit(ctx, d)
	var mismatch *blob.MismatchError
	if errors.As(err, &mismatch) {
		return "", &oci.Error{
			Code:    oci.CodeDigestInvalid,
			Message: fmt.Sprintf("the %d bytes that arrived have digest %s, not %s: upload the blob again", size, mismatch.Got, mismatch.Want),
			Detail:  map[string]string{"digest": d.String()},
			Err:     err,
		}
	}
	if err != nil {
		return "", r.stored("storing blob "+d.String(), repo, err)
	}
	if err := r.db.Blobs.Put(ctx, metadata.Blob{Digest: d, Key: key, Size: size}, repo.String()); err != nil {
		return key, r.stored("linking blob "+d.String(), repo, err)
	}
	return key, nil
}

// session is an upload that this request alone works on.
type session struct {
	registry *Registry
	row      metadata.Upload
	state    uploadState
	*turn
}

// openSession acquires an upload and compares where the next bytes belong with where
// the client says that they do.
func (r *Registry) openSession(ctx context.Context, repo oci.Repository, id string, start *int64) (*session, error) {
	turn, err := r.sessions.acquire(ctx, id)
	if err != nil {
		return nil, err
	}
	s := &session{registry: r, turn: turn}
	if s.row, err = r.uploadRow(ctx, repo, id); err == nil {
		err = json.Unmarshal(s.row.State, &s.state)
	}
	if err == nil && start != nil && *start != s.row.Offset {
		err = &oci.Error{
			Code:    oci.CodeRangeInvalid,
			Message: fmt.Sprintf("the chunk begins at byte %d, but upload %s goes on at byte %d", *start, id, s.row.Offset),
			Detail:  map[string]int64{"offset": s.row.Offset},
		}
	}
	if err != nil {
		turn.release()
		return nil, err
	}
	return s, nil
}

// resume continues the upload in storage, or begins it there with alg.
func (s *session) resume(ctx context.Context, alg digest.Algorithm) (blob.Upload, error) {
	repo := oci.Repository(s.row.Repository)
	if len(s.state.Blob) == 0 {
		s.state.Algorithm = alg
		upload, err := s.registry.blobs.Create(ctx, alg)
		if err != nil {
			return nil, s.registry.stored("beginning upload "+s.row.ID, repo, err)
		}
		return upload, nil
	}
	upload, err := s.registry.blobs.Resume(ctx, s.state.Blob)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, errors.Join(uploadUnknown(repo, s.row.ID), s.registry.db.Uploads.Delete(ctx, s.row.ID))
	}
	if err != nil {
		return nil, s.registry.stored("continuing upload "+s.row.ID, repo, err)
	}
	return upload, nil
}

// settle keeps what has arrived, also when the client has gone, unless the project has no
// room for it. Where storage failed
// before any byte was acknowledged, all of them are dropped: they take the room that
// may be what is missing, and no client counts on them.
func (s *session) settle(ctx context.Context, upload blob.Upload, broken error) error {
	if oci.CodeOf(broken) == oci.CodeDenied {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(upload.Cancel(ctx), s.registry.db.Uploads.Delete(ctx, s.row.ID))
	}
	if storageFailed(broken) && len(s.state.Blob) == 0 {
		return upload.Cancel(context.WithoutCancel(ctx))
	}
	return s.save(ctx, upload)
}

// save makes what has arrived last, unless another replica has gone on with the upload.
func (s *session) save(ctx context.Context, upload blob.Upload) error {
	if lost := s.lost(); lost != nil {
		return uploadBusy(s.row.ID, lost)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer cancel()
	repo := oci.Repository(s.row.Repository)
	size, first := upload.Size(), len(s.state.Blob) == 0
	var err error
	if s.state.Blob, err = upload.Save(ctx); err != nil {
		return s.registry.stored("keeping upload "+s.row.ID, repo, err)
	}
	s.row.Offset, s.row.UpdatedAt = size, s.registry.now()
	if s.row.State, err = json.Marshal(s.state); err != nil {
		return fmt.Errorf("keeping upload %s: %w", s.row.ID, err)
	}
	if err := s.registry.db.Uploads.Save(ctx, s.row); err != nil {
		err = s.registry.stored("keeping upload "+s.row.ID, repo, err)
		if first { // nothing leads to these bytes
			return errors.Join(err, s.registry.dropBytes(ctx, s.state))
		}
		return err
	}
	return nil
}

// receive copies a body and tells a client that broke off from storage that failed.
// Of a body that the project has no room for nothing is read where its length is known.
func (r *Registry) receive(ctx context.Context, upload blob.Upload, allowed allowance, body io.Reader, repo oci.Repository) error {
	if err := allowed.check(upload.Size(), body); err != nil {
		return err
	}
	from := &source{Reader: &metered{Reader: body, allowance: allowed, have: upload.Size()}}
	to := &roomy{Upload: upload, ctx: ctx, room: r.room, left: func() (int64, bool) { return remaining(body) }}
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, from, make([]byte, copyBuffer))
	if err == nil {
		return nil
	}
	if from.err == nil {
		return r.stored("writing an upload", repo, err)
	}
	if oci.CodeOf(from.err) != "" {
		return from.err
	}
	return &oci.Error{
		Code:    oci.CodeBlobUploadInvalid,
		Message: fmt.Sprintf("the upload broke off: its first %d bytes are kept, go on from there", upload.Size()),
		Err:     from.err,
	}
}

// source remembers why reading failed.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
