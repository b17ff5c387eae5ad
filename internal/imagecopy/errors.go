package imagecopy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/larder-registry/larder/internal/oci"
)

// ErrPlainHTTP is what a transport answers where it refuses to speak without TLS.
var ErrPlainHTTP = errors.New("it speaks plain HTTP, which others can read: if that is meant, add --insecure-http")

// explain says what was asked of a registry, what it answered, and what to do.
func explain(doing, what string, registry name.Registry, err error) error {
	what, host := Place{}.hub(what), registry.RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	if strings.Contains(err.Error(), errStalled.Error()) {
		err = errStalled
	}
	if errors.Is(err, ErrPlainHTTP) {
		return fmt.Errorf("%s %s: %s cannot be reached with TLS: %w", doing, what, host, ErrPlainHTTP)
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return fmt.Errorf("%s %s: the certificate of %s is signed by an authority that this machine does not know: give its certificate with --certificate-authority FILE: %w", doing, what, host, err)
	}
	refused, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return fmt.Errorf("%s %s: %w", doing, what, err)
	}
	said := answer(refused)
	switch refused.StatusCode {
	case http.StatusNotFound:
		return absentf("%s %s: it does not exist, or you may not see it (%s): check the name, and log in with docker login %s if it is private", doing, what, said, host)
	case http.StatusUnauthorized:
		return fmt.Errorf("%s %s: %s asks for a login or refuses it (%s): log in with docker login %s", doing, what, host, said, host)
	case http.StatusForbidden:
		return fmt.Errorf("%s %s: %s does not let you (%s): log in as somebody who may, with docker login %s", doing, what, host, said, host)
	case http.StatusTooManyRequests:
		return fmt.Errorf("%s %s: %s allows no more for now (%s): run the command again later, it goes on where it was", doing, what, host, said)
	}
	return fmt.Errorf("%s %s: %s answered %s", doing, what, host, said)
}

// answer is what a registry said, without the request that the library repeats.
func answer(refused *transport.Error) string {
	var parts []string
	for _, d := range refused.Errors {
		parts = append(parts, d.Message)
	}
	if len(parts) == 0 {
		return fmt.Sprintf("status %d %s", refused.StatusCode, http.StatusText(refused.StatusCode))
	}
	return fmt.Sprintf("status %d: %s", refused.StatusCode, strings.Join(parts, "; "))
}

// Schema1Error is an image in Docker schema 1, which no copy leaves as it is.
type Schema1Error struct{ From, To Place }

func (e *Schema1Error) Error() string {
	if e.From.Folder != "" || e.To.Folder != "" {
		return fmt.Sprintf("%s is an image in Docker schema 1, which has to be converted: copy it to a registry, and from there", e.From)
	}
	return fmt.Sprintf("%s is an image in Docker schema 1, which today's clients refuse, and copying it as it is would not change that. This converts it into %s:\n  %s",
		e.From, e.To, e.conversion())
}

func (e *Schema1Error) conversion() oci.Conversion {
	return oci.Conversion{
		From: e.From.String(), To: e.To.String(),
		PlainFrom: e.From.image.Context().Scheme() == "http",
		PlainTo:   e.To.image.Context().Scheme() == "http",
	}
}
