package imports

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// maxMessage bounds what is kept of a failure, in bytes.
const maxMessage = 1000

// explain says why an import failed: in one word, as conditions of image streams do, and
// in a sentence. Without an error there is no reason, and a message only where the
// project's own credentials are not used any more.
func explain(row metadata.Import, how standing, err error) (reason, message string) {
	if err == nil {
		return "", how.departed(row.Creator)
	}
	reason, message = word(err), err.Error()
	if failure, ok := errors.AsType[*oci.Error](err); ok {
		message = failure.Message
	}
	switch schema1, ok := errors.AsType[*oci.Schema1Error](err); {
	case ok, errors.Is(err, oci.ErrSchema1):
		c := oci.Conversion{From: row.Source, To: "HOST/" + row.Repository + ":" + row.Tag, PlainFrom: ok && schema1.Plain}
		message = fmt.Sprintf("%s is an image in Docker schema 1: convert it, where HOST is this registry, with: %s", row.Source, c)
	case reason == "Unauthorized":
		message = strings.TrimSuffix(message+"; "+how.asked(row.Creator), "; ")
	case reason == "InternalError":
		message = "the registry failed while it imported the image: its log tells why"
	}
	return reason, fmt.Sprintf("%.*s", maxMessage, message)
}

func word(err error) string {
	if failure, ok := errors.AsType[*upstream.Error](err); ok {
		return words()[failure.Kind]
	}
	switch code := oci.CodeOf(err); {
	case errors.Is(err, context.DeadlineExceeded):
		return "Timeout"
	case code == oci.CodeDenied:
		return "Forbidden"
	case code == oci.CodeInsufficientSpace:
		return "InsufficientStorage"
	case code != "", errors.Is(err, ErrNotPublic):
		return "Invalid"
	}
	return "InternalError"
}

// words are the reasons that an upstream gives.
func words() map[upstream.Kind]string {
	return map[upstream.Kind]string{
		upstream.NotFound: "NotFound", upstream.Denied: "Unauthorized", upstream.CredentialRefused: "Unauthorized",
		upstream.Blocked: "Unauthorized", upstream.PullLimit: "TooManyRequests", upstream.Reserved: "TooManyRequests", upstream.OverBudget: "TooManyRequests", upstream.AbuseLimit: "TooManyRequests",
		upstream.Timeout: "Timeout", upstream.Invalid: "Invalid", upstream.Unavailable: "Unavailable",
	}
}
