package s3

import (
	"errors"
	"fmt"
	"slices"

	"github.com/minio/minio-go/v7"

	"github.com/larder-registry/larder/internal/blob"
)

// found adds blob.ErrNotFound to the chain of an error that means it. A bucket
// that is not there does not: it says nothing about what was in it.
func found(err error) error {
	if hasCode(err, minio.NoSuchKey, minio.NoSuchUpload) {
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return err
}

// gone drops an error which says that what was to be removed is not there.
func gone(err error) error {
	if hasCode(err, minio.NoSuchKey, minio.NoSuchUpload) {
		return nil
	}
	return err
}

// hasCode says whether S3 has answered with one of the codes.
func hasCode(err error, codes ...string) bool {
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && slices.Contains(codes, answer.Code)
}
