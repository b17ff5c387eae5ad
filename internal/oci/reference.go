package oci

import (
	"fmt"
	"strings"

	// Both algorithms that OCI Image 1.1, §Digests registers must be linked in.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/opencontainers/go-digest"
)

const maxTagLength = 128

// Reference names a manifest inside a repository: by tag or by digest, never both.
type Reference struct {
	Tag    string
	Digest digest.Digest
}

// ParseReference reads the last path segment of a manifest's URL. The error is an
// *Error with DIGEST_INVALID or TAG_INVALID.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	if err := CheckTag(s); err != nil {
		return Reference{}, err
	}
	return Reference{Tag: s}, nil
}

// CheckTag tells whether s follows the grammar of a tag (OCI Distribution 1.1,
// §Pulling manifests). The error is an *Error with TAG_INVALID.
func CheckTag(s string) error {
	if !isTag(s) {
		return &Error{
			Code:    CodeTagInvalid,
			Message: fmt.Sprintf("tag %q is not valid: it is at most 128 letters, digits, and _ . - and does not begin with . or -", clip(s)),
		}
	}
	return nil
}

func isTag(s string) bool {
	if s == "" || len(s) > maxTagLength || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLowerOrDigit(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// ByTag tells whether the reference is a tag.
func (r Reference) ByTag() bool { return r.Tag != "" }

func (r Reference) String() string {
	if r.ByTag() {
		return r.Tag
	}
	return r.Digest.String()
}

// ParseDigest accepts sha256 and sha512, the algorithms registered by OCI Image
// 1.1, §Digests. The error is an *Error with DIGEST_INVALID.
func ParseDigest(s string) (digest.Digest, error) {
	algorithm, encoded, _ := strings.Cut(s, ":")
	a := digest.Algorithm(algorithm)
	if a != digest.SHA256 && a != digest.SHA512 || len(encoded) != 2*a.Size() || !isLowerHex(encoded) {
		return "", &Error{
			Code:    CodeDigestInvalid,
			Message: fmt.Sprintf("digest %q is not valid: write sha256: and 64, or sha512: and 128 lower-case hexadecimal digits", clip(s)),
		}
	}
	return digest.Digest(s), nil
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// clip keeps what a stranger sent from filling an error text.
func clip(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
