package imagecopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// patience bounds how long nothing may come of a blob under way.
const patience = 5 * time.Minute

var errStalled = fmt.Errorf("nothing came for %s", patience)

// blob is one that is about to be copied. It is a v1.Layer of the library.
type blob struct {
	oci.Descriptor
	from  source
	meter Meter
	// ctx is that of the transfer, which the library does not hand to a layer.
	ctx     context.Context
	alive   *time.Timer
	counted atomic.Int64 // bytes that the meter was told of
	opened  atomic.Bool
}

// send copies the blob and tells whether its bytes were needed.
func (b *blob) send(ctx context.Context, to destination) (sent bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	b.ctx, b.alive = ctx, time.AfterFunc(patience, func() { end(errStalled) })
	defer b.alive.Stop()
	if err := to.putBlob(ctx, b); err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			err = errStalled
		}
		return false, err
	}
	b.count(b.Size - b.counted.Load())
	return b.opened.Load(), nil
}

func (b *blob) count(n int64) {
	b.counted.Add(n)
	b.meter.Add(n)
}

// open reads the blob from its beginning, also for another attempt. The end comes only
// if size and digest are right.
func (b *blob) open() (io.ReadCloser, error) {
	b.opened.Store(true)
	b.count(-b.counted.Load())
	body, err := b.from.blob(b.ctx, b.Digest)
	if err != nil {
		return nil, err
	}
	return &verifiedReader{blob: b, body: body, hash: b.Digest.Algorithm().Digester()}, nil
}

// home is where in a registry the blob is read.
func (b *blob) home() name.Reference {
	if repository := b.from.repository(); repository != nil {
		return repository.Digest(b.Digest.String())
	}
	return nil
}

// verifiedReader reads a blob whose bytes are checked as they pass.
type verifiedReader struct {
	blob *blob
	body io.ReadCloser
	hash digest.Digester
	read int64
}

// Read keeps the last bytes back until it is known that none follow: whoever sends as
// many bytes as were announced may never read on to hear of it.
func (r *verifiedReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.blob.alive.Reset(patience)
	r.blob.count(int64(n))
	r.read += int64(n)
	_, _ = r.hash.Hash().Write(p[:n])
	if r.read == r.blob.Size && err == nil {
		err = r.end()
	}
	want := r.blob.Descriptor
	switch {
	case r.read > want.Size, errors.Is(err, io.EOF) && r.read < want.Size:
		return 0, fmt.Errorf("blob %s has not the %d bytes that its manifest says", want.Digest, want.Size)
	case errors.Is(err, io.EOF) && r.hash.Digest() != want.Digest:
		return 0, fmt.Errorf("the bytes that came for blob %s have the digest %s", want.Digest, r.hash.Digest())
	}
	return n, err
}

// end reads on and is io.EOF where nothing follows.
func (r *verifiedReader) end() error {
	more := make([]byte, 1)
	n, err := io.ReadFull(r.body, more)
	r.read += int64(n)
	return err
}

func (r *verifiedReader) Close() error { return r.body.Close() }

// layer is the blob as the library takes it.
type layer struct{ *blob }

// Digest is that of the bytes that are sent.
func (l layer) Digest() (v1.Hash, error) { return v1.NewHash(l.Descriptor.Digest.String()) }

// DiffID would be that of the unpacked bytes, which nobody asks for here.
func (l layer) DiffID() (v1.Hash, error) { return v1.Hash{}, errors.ErrUnsupported }

// Compressed reads the blob as it is.
func (l layer) Compressed() (io.ReadCloser, error) { return l.open() }

// Uncompressed would unpack it.
func (l layer) Uncompressed() (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

// Size is in bytes.
func (l layer) Size() (int64, error) { return l.Descriptor.Size, nil }

// MediaType is what the manifest says.
func (l layer) MediaType() (types.MediaType, error) {
	return types.MediaType(l.blob.MediaType), nil
}
