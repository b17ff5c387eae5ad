package oci

import (
	"errors"
	"strings"
)

// Docker's image manifest version 2, schema 1, unsigned and signed.
const (
	mediaTypeDockerSchema1    = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeDockerSchema1JWS = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// ErrSchema1 is in the chain when a manifest is refused because it is Docker schema 1.
var ErrSchema1 = errors.New("a Docker schema 1 manifest")

// Schema1Error is a Docker schema 1 image that cannot be had as it is. It names where the
// image is, for a Conversion.
type Schema1Error struct {
	From  string // HOST/NAME:TAG
	Plain bool   // without TLS
}

func (e *Schema1Error) Error() string { return e.From + " is an image in Docker schema 1" }

// IsSchema1 tells whether a media type is that of a Docker schema 1 manifest.
func IsSchema1(mediaType string) bool {
	return mediaType == mediaTypeDockerSchema1 || mediaType == mediaTypeDockerSchema1JWS
}

// Conversion is the command that makes an image of today of one in Docker schema 1.
type Conversion struct {
	From, To string // HOST/NAME:TAG
	// PlainFrom and PlainTo are true for registries without TLS.
	PlainFrom, PlainTo bool
}

// String is a line for a shell.
func (c Conversion) String() string {
	words := []string{"skopeo", "copy", "--format", "v2s2"}
	if c.PlainFrom {
		words = append(words, "--src-tls-verify=false")
	}
	if c.PlainTo {
		words = append(words, "--dest-tls-verify=false")
	}
	return strings.Join(append(words, "docker://"+c.From, "docker://"+c.To), " ")
}
