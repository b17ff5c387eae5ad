package distribution

import (
	"errors"
	"syscall"
	"time"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// retryLocked is the advice while another program holds the database, which it
	// does for moments; retryBroken while somebody has to see to the disk.
	retryLocked = 5 * time.Second
	// retryStorage is the advice while object storage is slow or down, which the
	// registry itself has waited for already.
	retryStorage = 10 * time.Second
	retryBroken  = time.Minute
)

// storageError explains a failure of the registry's own disk, object storage or database;
// nil when err is none that there is a word for.
func storageError(err error) *oci.Error {
	is := func(numbers ...syscall.Errno) bool {
		for _, number := range numbers {
			if errors.Is(err, number) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, blob.ErrUnavailable):
		return &oci.Error{
			Code: oci.CodeUnavailable, RetryAfter: retryStorage, Err: err,
			Message: "the registry's object storage does not answer as it should: try again in a moment",
		}
	case is(syscall.ENOSPC, syscall.EDQUOT):
		return &oci.Error{
			Code: oci.CodeInsufficientSpace, Err: err,
			Message: "this registry's disk is full; try again when its operator has made room",
		}
	case is(syscall.EBUSY):
		return &oci.Error{
			Code: oci.CodeUnavailable, RetryAfter: retryLocked, Err: err,
			Message: "another program holds the registry's database, so nothing can be written: try again in a moment",
		}
	case is(syscall.EROFS, syscall.EIO, syscall.EACCES, syscall.EPERM):
		return &oci.Error{
			Code: oci.CodeUnavailable, RetryAfter: retryBroken, Err: err,
			Message: "the registry's disk takes no writes or fails: try again when its operator has seen to it",
		}
	}
	return nil
}
