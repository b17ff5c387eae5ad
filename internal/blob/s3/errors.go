package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"syscall"

	"github.com/minio/minio-go/v7"

	"github.com/larder-registry/larder/internal/blob"
)

// explained adds to the chain of an error what it means to others: blob.ErrNotFound,
// syscall.ENOSPC when the object storage is full, or else blob.ErrUnavailable. A bucket
// that is not there is none of the first: it says nothing about what was in it. What was
// canceled stays what it is.
func explained(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case hasCode(err, minio.NoSuchKey, minio.NoSuchUpload):
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	case statusOf(err) == http.StatusInsufficientStorage, hasCode(err, "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"):
		return fmt.Errorf("the object storage is full: %w: %w", syscall.ENOSPC, err)
	}
	return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
}

// gone drops an error which says that what was to be removed is not there.
func gone(err error) error {
	if hasCode(err, minio.NoSuchKey, minio.NoSuchUpload) {
		return nil
	}
	return explained(err)
}

// hasCode says whether S3 has answered with one of the codes.
func hasCode(err error, codes ...string) bool {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && slices.Contains(codes, answer.Code)
}

// statusOf is the status of S3's answer, 0 when it has given none.
func statusOf(err error) int {
	answer, _ := errors.AsType[minio.ErrorResponse](err)
	return answer.StatusCode
}

// refused says whether S3 has answered that it does not do what was asked, now or
// later. Otherwise it may have done it.
func refused(err error) bool {
	status := statusOf(err)
	return status >= http.StatusBadRequest && status < http.StatusInternalServerError &&
		status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}
