package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
)

// holdLife is how long removing blobs is held off for a client that falls silent.
const holdLife = time.Minute

// Backups gives out what a backup is made of.
type Backups interface {
	// Dump writes all metadata as it is at one moment.
	Dump(ctx context.Context, w io.Writer) error
	// OpenBlob opens a blob of any repository and tells its size in bytes;
	// blob.ErrNotFound when it is not there.
	OpenBlob(ctx context.Context, d digest.Digest) (io.ReadCloser, int64, error)
}

// Leases keeps what one holder has among all.
type Leases interface {
	Acquire(ctx context.Context, l metadata.Lease, life time.Duration) error
	Renew(ctx context.Context, name, holder string, life time.Duration) error
	Release(ctx context.Context, name, holder string) error
}

// Hold keeps blobs from being removed, for a backup.
type Hold struct {
	ID             string `json:"id"`
	ExpiresSeconds int64  `json:"expiresSeconds" doc:"It ends when it was not renewed for so long"`
}

type holdOutput struct{ Body Hold }

type holdInput struct {
	Credentials
	ID string `path:"id"`
}

type backupBlobInput struct {
	Credentials
	Digest string `path:"digest"`
}

func (s *service) registerBackup(api huma.API) {
	tags := []string{"backup"}
	register(s, api, huma.Operation{
		OperationID: "hold-blobs", Method: http.MethodPost, Path: "/api/v1/backup/holds", Tags: tags,
		Summary: "Hold off garbage collection and eviction while blobs are copied", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusForbidden, http.StatusConflict},
	}, s.holdBlobs)
	register(s, api, huma.Operation{
		OperationID: "renew-hold", Method: http.MethodPut, Path: "/api/v1/backup/holds/{id}", Tags: tags,
		Summary: "Prolong a hold", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.renewHold)
	register(s, api, huma.Operation{
		OperationID: "release-hold", Method: http.MethodDelete, Path: "/api/v1/backup/holds/{id}", Tags: tags,
		Summary: "End a hold", DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusForbidden},
	}, s.releaseHold)
	register(s, api, huma.Operation{
		OperationID: "dump-metadata", Method: http.MethodGet, Path: "/api/v1/backup/metadata", Tags: tags,
		Summary: "Dump all metadata as it is at one moment; it has password hashes and signing keys in it",
		Errors:  []int{http.StatusForbidden, http.StatusInsufficientStorage},
	}, s.dumpMetadata)
	register(s, api, huma.Operation{
		OperationID: "read-any-blob", Method: http.MethodGet, Path: "/api/v1/backup/blobs/{digest}", Tags: tags,
		Summary: "Read a blob of any repository",
		Errors:  []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound},
	}, s.readAnyBlob)
}

// mayBackUp lets in who may read everything: a backup holds all secrets.
func (s *service) mayBackUp(ctx context.Context, who caller) error {
	return s.permit(ctx, who, authz.Backup, authz.Target{})
}

func (s *service) holdBlobs(ctx context.Context, who caller, _ *Credentials) (*holdOutput, error) {
	if err := s.mayBackUp(ctx, who); err != nil {
		return nil, err
	}
	lease := gc.BackupLease()
	err := s.Leases.Acquire(ctx, lease, holdLife)
	if errors.Is(err, metadata.ErrLeased) {
		return nil, problem(http.StatusConflict, "blobs are being removed, or another backup is under way: try again when that has ended")
	}
	if err != nil {
		return nil, err
	}
	return &holdOutput{Body: Hold{ID: lease.Holder, ExpiresSeconds: int64(holdLife.Seconds())}}, nil
}

func (s *service) renewHold(ctx context.Context, who caller, in *holdInput) (*struct{}, error) {
	if err := s.mayBackUp(ctx, who); err != nil {
		return nil, err
	}
	err := s.Leases.Renew(ctx, gc.Lease, in.ID, holdLife)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, problem(http.StatusNotFound, "this hold has ended, so that blobs may have been removed since: begin the backup again")
	}
	return nil, err
}

func (s *service) releaseHold(ctx context.Context, who caller, in *holdInput) (*struct{}, error) {
	if err := s.mayBackUp(ctx, who); err != nil {
		return nil, err
	}
	return nil, s.Leases.Release(ctx, gc.Lease, in.ID)
}

func (s *service) dumpMetadata(ctx context.Context, who caller, _ *Credentials) (*huma.StreamResponse, error) {
	if err := s.mayBackUp(ctx, who); err != nil {
		return nil, err
	}
	file, size, err := s.spoolDump(ctx)
	if err != nil {
		return nil, err
	}
	return s.stream(linesType, file, size), nil
}

func (s *service) readAnyBlob(ctx context.Context, who caller, in *backupBlobInput) (*huma.StreamResponse, error) {
	if err := s.mayBackUp(ctx, who); err != nil {
		return nil, err
	}
	d := digest.Digest(in.Digest)
	if err := blob.CheckDigest(d); err != nil {
		return nil, problem(http.StatusBadRequest, err.Error())
	}
	content, size, err := s.Backups.OpenBlob(ctx, d)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("blob %s is not there", d))
	}
	if err != nil {
		return nil, err
	}
	return s.stream("application/octet-stream", content, size), nil
}
