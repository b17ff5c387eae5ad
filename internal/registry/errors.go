package registry

import (
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// ErrDamaged is in the chain of errors about a blob whose stored bytes are gone or are
// not those that were stored. That they could not be read is no damage.
var ErrDamaged = errors.New("stored bytes are gone or damaged")

// ErrUploadBusy is in the chain when another request is writing the same upload.
var ErrUploadBusy = errors.New("another request is writing this upload")

func manifestUnknown(repo oci.Repository, ref oci.Reference) error {
	what := "manifest"
	if ref.ByTag() {
		what = "tag"
	}
	return &oci.Error{
		Code:    oci.CodeManifestUnknown,
		Message: fmt.Sprintf("repository %s has no %s %s", repo, what, ref),
		Detail:  map[string]string{"name": repo.String(), "reference": ref.String()},
	}
}

func blobUnknown(repo oci.Repository, d digest.Digest, cause error) error {
	return &oci.Error{
		Code:    oci.CodeBlobUnknown,
		Message: fmt.Sprintf("repository %s has no blob %s", repo, d),
		Detail:  map[string]string{"name": repo.String(), "digest": d.String()},
		Err:     cause,
	}
}

func repositoryUnknown(repo oci.Repository) error {
	return &oci.Error{
		Code:    oci.CodeNameUnknown,
		Message: fmt.Sprintf("repository %s does not exist: push an image to it first", repo),
		Detail:  map[string]string{"name": repo.String()},
	}
}

func uploadUnknown(repo oci.Repository, id string) error {
	return &oci.Error{
		Code:    oci.CodeBlobUploadUnknown,
		Message: fmt.Sprintf("repository %s has no unfinished upload %s: it was finished, canceled, or left for a day. Begin a new one", repo, id),
	}
}

// stored explains a failure to write to metadata or to blob storage.
func (r *Registry) stored(doing string, repo oci.Repository, err error) error {
	if refusal, ok := errors.AsType[*oci.Error](err); ok {
		return refusal
	}
	if over, ok := errors.AsType[*metadata.QuotaError](err); ok {
		return overQuota(over.Project, over.Quota, over.Would, false, err)
	}
	switch {
	case errors.Is(err, metadata.ErrNotFound):
		return &oci.Error{
			Code:    oci.CodeNameUnknown,
			Message: fmt.Sprintf("project %s does not exist: make it with larder new-project %s", repo.Project(), repo.Project()),
			Err:     err,
		}
	case full(err):
		return &oci.Error{Code: oci.CodeInsufficientSpace, Message: r.fullText(err), Err: err}
	}
	return fmt.Errorf("%s in %s: %w", doing, repo, err)
}

// storageFailed tells a failure of the registry's own disk or database from one of the
// client's.
func storageFailed(err error) bool {
	if err == nil {
		return false
	}
	code := oci.CodeOf(err)
	return code == "" || code == oci.CodeInsufficientSpace
}
