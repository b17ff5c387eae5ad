package oci

import (
	"errors"
	"time"
)

// Code is an error code of OCI Distribution 1.1, §Error codes, or one of Larder's
// own for what the specification leaves to HTTP.
type Code string

// The specification's codes.
const (
	CodeBlobUnknown         Code = "BLOB_UNKNOWN"
	CodeBlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	CodeBlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	CodeDigestInvalid       Code = "DIGEST_INVALID"
	CodeManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	CodeManifestInvalid     Code = "MANIFEST_INVALID"
	CodeManifestUnknown     Code = "MANIFEST_UNKNOWN"
	CodeNameInvalid         Code = "NAME_INVALID"
	CodeNameUnknown         Code = "NAME_UNKNOWN"
	CodeSizeInvalid         Code = "SIZE_INVALID"
	CodeUnauthorized        Code = "UNAUTHORIZED"
	CodeDenied              Code = "DENIED"
	CodeUnsupported         Code = "UNSUPPORTED"
	CodeTooManyRequests     Code = "TOOMANYREQUESTS"
)

// Codes known from Docker's registry documents, and Larder's own.
const (
	CodeTagInvalid        Code = "TAG_INVALID"
	CodeRangeInvalid      Code = "RANGE_INVALID"
	CodePaginationInvalid Code = "PAGINATION_NUMBER_INVALID"
	CodeTooLarge          Code = "TOO_LARGE"
	CodeUpstreamInvalid   Code = "UPSTREAM_INVALID"     // the upstream answered what cannot be used
	CodeUpstreamDown      Code = "UPSTREAM_UNAVAILABLE" // the upstream failed or could not be reached
	CodeUpstreamTimeout   Code = "UPSTREAM_TIMEOUT"     // the upstream did not answer in time
	CodeUnavailable       Code = "UNAVAILABLE"          // Larder itself cannot serve now
	CodeInsufficientSpace Code = "INSUFFICIENT_STORAGE" // the disk is full
	CodeUnknown           Code = "UNKNOWN"              // a fault of Larder's own
)

// Error is an answer to a client: a code, a text that says what was asked, what
// happened and what to do next, and how long to wait before asking again.
type Error struct {
	Code       Code
	Message    string
	Detail     any
	RetryAfter time.Duration // zero: no advice
	Rule       Rule          // what decided it; "": the cause tells
	Err        error         // the cause, for the log; clients never see it
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf finds the code of the first *Error in err's chain; "" when there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
