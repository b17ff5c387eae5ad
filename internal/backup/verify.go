package backup

import (
	"errors"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// verified reads a blob and gives out its last bytes only when all of them have the
// digest and the size that they should; otherwise it ends with a *blob.MismatchError.
type verified struct {
	from io.Reader
	want digest.Digest
	size int64
	read int64
	hash hash.Hash
}

func verify(r io.Reader, want digest.Digest, size int64) *verified {
	return &verified{from: r, want: want, size: size, hash: want.Algorithm().Hash()}
}

func (v *verified) Read(p []byte) (int, error) {
	if v.read == v.size {
		return 0, v.end()
	}
	n, err := v.from.Read(p[:min(int64(len(p)), v.size-v.read)])
	_, _ = v.hash.Write(p[:n]) // a hash never fails
	v.read += int64(n)
	switch {
	case v.read == v.size:
		// Whoever takes the size for the end does not come again.
		if err := v.end(); !errors.Is(err, io.EOF) {
			return 0, err
		}
		return n, nil
	case errors.Is(err, io.EOF):
		return 0, v.mismatch()
	case err != nil:
		return n, &readError{err}
	}
	return n, nil
}

// readError is an error of the source of a blob, not of where it goes.
type readError struct{ err error }

func (e *readError) Error() string { return "reading it: " + e.err.Error() }

func (e *readError) Unwrap() error { return e.err }

// end is io.EOF where the bytes are right and nothing follows them.
func (v *verified) end() error {
	if got := digest.NewDigest(v.want.Algorithm(), v.hash); got != v.want {
		return v.mismatch()
	}
	var more [1]byte
	for range 100 { // as bufio does, where a reader tells nothing
		n, err := v.from.Read(more[:])
		if n > 0 {
			_, _ = v.hash.Write(more[:n])
			return v.mismatch()
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (v *verified) mismatch() error {
	return &blob.MismatchError{Want: v.want, Got: digest.NewDigest(v.want.Algorithm(), v.hash)}
}
