package blob

import (
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
)

// shardLength is the number of hexadecimal digits that name the folder of a
// blob: 256 folders keep each small, up to millions of blobs.
const shardLength = 2

// CheckAlgorithm refuses, for every driver, algorithms other than those registered
// by OCI Image 1.1, §Digests.
func CheckAlgorithm(alg digest.Algorithm) error {
	if alg != digest.SHA256 && alg != digest.SHA512 {
		return fmt.Errorf("digest algorithm %.40q is not one of sha256 and sha512", alg)
	}
	return nil
}

// CheckDigest refuses what is no digest, or one of another algorithm.
func CheckDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %.160q: %w", d, err)
	}
	return CheckAlgorithm(d.Algorithm())
}

// keyOf is the digest's path below the folder of blobs, such as
// sha256/ab/ab12... . The digest has passed CheckDigest.
func keyOf(d digest.Digest) string {
	encoded := d.Encoded()
	return path.Join(d.Algorithm().String(), encoded[:shardLength], encoded)
}

// DigestOf tells which blob is kept under a key, when it is the path of a digest: the
// same blob is then kept under the same key each time.
func DigestOf(key string) (d digest.Digest, ok bool) {
	alg, rest, _ := strings.Cut(key, "/")
	_, encoded, _ := strings.Cut(rest, "/")
	d = digest.NewDigestFromEncoded(digest.Algorithm(alg), encoded)
	return d, CheckDigest(d) == nil && keyOf(d) == key
}

// checkKey accepts exactly what keyOf makes, so that no key leads out of the
// folder of blobs.
func checkKey(key string) error {
	if _, ok := DigestOf(key); !ok {
		return fmt.Errorf("blob key %.160q does not have the form sha256/ab/ab12..., the path of a digest", key)
	}
	return nil
}

// FileKey is the key under which Files keeps a blob.
func FileKey(d digest.Digest) (string, error) {
	if err := CheckDigest(d); err != nil {
		return "", err
	}
	return keyOf(d), nil
}
