package imports

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// maxResumes bounds how often a blob that breaks off is gone on with.
const maxResumes = 5

// resuming reads a blob of a source and goes on where the connection broke. It reads no
// more than the manifest says.
type resuming struct {
	ctx      context.Context // of the transfer, which a reader is not given
	transfer *transfer
	blob     oci.Descriptor
	body     *upstream.Body
	offset   int64
	resumed  int
}

// Read implements io.Reader.
func (r *resuming) Read(p []byte) (int, error) {
	for {
		if r.offset == r.blob.Size {
			return 0, io.EOF
		}
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.blob.Size-r.offset)])
		r.offset += int64(n)
		if err == nil || r.offset == r.blob.Size {
			return n, nil
		}
		r.close()
		if r.resumed++; r.resumed > maxResumes || r.ctx.Err() != nil {
			return n, fmt.Errorf("reading blob %s from %s broke off at byte %d of %d: %w",
				r.blob.Digest, r.transfer.image.Host, r.offset, r.blob.Size, noEOF(err))
		}
		if n > 0 {
			return n, nil
		}
	}
}

// noEOF keeps a body that ends too early from looking like one that is whole.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// open asks from the offset on; a source that begins at 0 all the same is read up to it.
func (r *resuming) open() error {
	body, err := r.transfer.source.Blob(r.ctx, r.transfer.as, r.transfer.image.Repository, r.blob.Digest, r.offset)
	if err != nil {
		return err
	}
	r.body = body
	if skip := r.offset - body.Offset; skip > 0 {
		if _, err := io.CopyN(io.Discard, body, skip); err != nil {
			r.close()
			return noEOF(err)
		}
	}
	return nil
}

func (r *resuming) close() {
	if r.body != nil {
		_ = r.body.Close()
		r.body = nil
	}
}
