package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// sweepBatch is how many old uploads are read from metadata at a time.
const sweepBatch = 100

// uploadState is what an upload's row keeps beside its offset. Storage is first
// touched when bytes come, so that an upload which ends in one PUT costs no more.
type uploadState struct {
	Algorithm digest.Algorithm `json:"algorithm"`
	Blob      []byte           `json:"blob,omitempty"` // of blob.Upload.Save; empty before the first byte
}

// StartUpload begins an upload session and returns its id, a UUID (OCI Distribution
// 1.1, §Pushing a blob in chunks). Alg is the algorithm of the digest that will
// finish it. The session survives a restart.
func (r *Registry) StartUpload(ctx context.Context, repo oci.Repository, alg digest.Algorithm) (id string, err error) {
	random, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("making an upload's id: %w", err)
	}
	state, err := json.Marshal(uploadState{Algorithm: alg})
	if err != nil {
		return "", fmt.Errorf("beginning an upload in %s: %w", repo, err)
	}
	r.roomForRows(ctx)
	now := r.now()
	err = r.db.Uploads.Create(ctx, metadata.Upload{
		ID: random.String(), Repository: repo.String(), State: state, CreatedAt: now, UpdatedAt: now,
	})
	if err != nil {
		return "", r.stored("beginning an upload", repo, err)
	}
	return random.String(), nil
}

// UploadStatus tells how many bytes of an upload are kept. The error is
// BLOB_UPLOAD_UNKNOWN when there is no such upload in the repository.
func (r *Registry) UploadStatus(ctx context.Context, repo oci.Repository, id string) (offset int64, err error) {
	row, err := r.uploadRow(ctx, repo, id)
	return row.Offset, err
}

// CancelUpload drops an upload and its bytes (OCI Distribution 1.1, §Cancel a blob
// upload). The error is BLOB_UPLOAD_UNKNOWN when there is no such upload.
func (r *Registry) CancelUpload(ctx context.Context, repo oci.Repository, id string) error {
	turn, err := r.sessions.acquire(ctx, id)
	if err != nil {
		return err
	}
	defer turn.release()
	row, err := r.uploadRow(ctx, repo, id)
	if err != nil {
		return err
	}
	return r.dropUpload(ctx, row)
}

// SweepUploads drops the uploads that nobody has touched for the given time, and
// tells how many they were. One that is being written is left alone, and one that cannot
// be dropped does not keep the others.
func (r *Registry) SweepUploads(ctx context.Context, olderThan time.Duration) (dropped int, err error) {
	before, left := r.now().Add(-olderThan), map[string]bool{}
	var all []error
	for {
		rows, err := r.db.Uploads.OlderThan(ctx, before, len(left)+sweepBatch)
		if err != nil {
			return dropped, errors.Join(append(all, fmt.Errorf("listing unfinished uploads: %w", err))...)
		}
		rows = slices.DeleteFunc(rows, func(row metadata.Upload) bool { return left[row.ID] })
		if len(rows) == 0 || ctx.Err() != nil {
			return dropped, errors.Join(append(all, ctx.Err())...)
		}
		for _, row := range rows {
			gone, err := r.sweepUpload(ctx, row, before)
			if gone {
				dropped++
			} else {
				left[row.ID] = true
			}
			if err != nil {
				all = append(all, err)
			}
		}
	}
}

// sweepUpload drops an upload that was listed, unless somebody has gone on with it since.
func (r *Registry) sweepUpload(ctx context.Context, listed metadata.Upload, before time.Time) (dropped bool, err error) {
	turn, err := r.sessions.try(ctx, listed.ID)
	if err != nil || turn == nil {
		return false, err
	}
	defer turn.release()
	row, err := r.db.Uploads.Get(ctx, listed.Repository, listed.ID)
	if errors.Is(err, metadata.ErrNotFound) || err == nil && !row.UpdatedAt.Before(before) {
		return false, nil
	}
	if err == nil {
		err = r.dropUpload(ctx, row)
	}
	return err == nil, err
}

func (r *Registry) uploadRow(ctx context.Context, repo oci.Repository, id string) (metadata.Upload, error) {
	row, err := r.db.Uploads.Get(ctx, repo.String(), id)
	if errors.Is(err, metadata.ErrNotFound) {
		return metadata.Upload{}, uploadUnknown(repo, id)
	}
	if err != nil {
		return metadata.Upload{}, fmt.Errorf("looking up upload %s of %s: %w", id, repo, err)
	}
	return row, nil
}

// dropUpload drops an upload's bytes, then its row. The caller has acquired it.
func (r *Registry) dropUpload(ctx context.Context, row metadata.Upload) error {
	var state uploadState
	if err := json.Unmarshal(row.State, &state); err != nil {
		return fmt.Errorf("reading the state of upload %s: %w", row.ID, err)
	}
	if err := r.dropBytes(ctx, state); err != nil {
		return fmt.Errorf("dropping the bytes of upload %s: %w", row.ID, err)
	}
	if err := r.db.Uploads.Delete(ctx, row.ID); err != nil {
		return fmt.Errorf("dropping upload %s: %w", row.ID, err)
	}
	return nil
}

// dropBytes drops what storage keeps of an upload, if anything.
func (r *Registry) dropBytes(ctx context.Context, state uploadState) error {
	if len(state.Blob) == 0 {
		return nil
	}
	upload, err := r.blobs.Resume(ctx, state.Blob)
	if err == nil {
		err = upload.Cancel(ctx)
	}
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}
