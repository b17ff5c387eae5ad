package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's entity tags are made of it
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	// The hash that go-digest looks up by name.
	_ "crypto/sha512"

	"github.com/opencontainers/go-digest"
)

// digestOf reads exactly size bytes.
func digestOf(ctx context.Context, alg digest.Algorithm, r io.Reader, size int64) (digest.Digest, error) {
	h := alg.Hash()
	n, err := io.Copy(h, &contextReader{ctx, r})
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return "", fmt.Errorf("reading the bytes again for their %s digest: %w", alg, err)
	}
	return digest.NewDigest(alg, h), nil
}

// newSum makes the hash by which S3 checks each body.
func newSum() hash.Hash { return sha256.New() }

func hexOf(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }

// etag is the entity tag that most services give the blob which the parts become.
func (m *multipart) etag() string {
	h := md5.New() //nolint:gosec // likewise
	for _, etag := range m.etags {
		sum, err := hex.DecodeString(etag)
		if err != nil {
			return "" // that of no blob
		}
		_, _ = h.Write(sum) // a hash never fails
	}
	return fmt.Sprintf("%s-%d", hexOf(h), len(m.etags))
}

// contextReader ends a long reading when the context is done.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
