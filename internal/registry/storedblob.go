package registry

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// verifyFirst is the size in bytes up to which a blob is verified before anything of it
// is answered, which takes about a millisecond and leaves room for another answer.
const verifyFirst = 1 << 20

// StoredBlob is a blob that is opened for one response. It is an oci.Blob.
type StoredBlob struct {
	io.ReadSeekCloser // the driver's
	origin            // of its bytes
	registry          *Registry
	row               metadata.Blob
	trusted           bool          // they were verified lately
	check             *verification // the reading that tells, unless they are trusted
	passing           *passingHash  // of what this response reads, where another reading is dear
}

// open opens a blob's bytes and holds their number against the row. The error is a
// *damage when they are gone or not as many.
func (r *Registry) open(ctx context.Context, row metadata.Blob, open opener) (*StoredBlob, error) {
	content, err := open(ctx, row)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, gone(row)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", row.Digest, err)
	}
	b := &StoredBlob{ReadSeekCloser: content, registry: r, row: row}
	if err := b.look(); err != nil {
		_ = content.Close()
		return nil, fmt.Errorf("opening blob %s: %w", row.Digest, err)
	}
	return b, nil
}

// look finds out what is known of the bytes before they are read.
func (b *StoredBlob) look() (err error) {
	if b.origin, err = originOf(b.ReadSeekCloser); err != nil {
		return err
	}
	size, err := b.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size != b.row.Size {
		return wrongSize(b.row, b.origin, size)
	}
	if _, err := b.Seek(0, io.SeekStart); err != nil {
		return err
	}
	b.trusted = b.registry.sound.trusts(b, b.registry.now())
	return nil
}

// begin has the bytes verified while they are sent, or before it where they are few.
func (b *StoredBlob) begin(ctx context.Context) error {
	if !b.trusted && b.near && b.row.Size <= verifyFirst {
		if err := b.verifyFirst(ctx); err != nil {
			return err
		}
	}
	switch {
	case b.trusted:
	case b.near && b.identity != "":
		b.check = b.registry.verify(b.row, b.identity)
	default:
		b.passing = &passingHash{blob: b, ctx: ctx, hash: b.row.Digest.Algorithm().Hash()}
	}
	return nil
}

// verifyFirst waits until the blob was read back. After that its identity is known, if
// it had just changed before.
func (b *StoredBlob) verifyFirst(ctx context.Context) (err error) {
	b.check = b.registry.verify(b.row, b.identity)
	if err := b.Verified(ctx); err != nil {
		return err
	}
	b.check = nil
	if b.identity, err = blob.IdentityOf(b.ReadSeekCloser); err != nil {
		return err
	}
	b.trusted = b.registry.sound.trusts(b, b.registry.now())
	return nil
}

// Size is the blob's length in bytes.
func (b *StoredBlob) Size() int64 { return b.row.Size }

// Stored gives what is to be sent: the driver's own reader where that will do, so that
// a file can go to a socket without passing through this process.
func (b *StoredBlob) Stored() io.ReadSeeker {
	if b.passing != nil {
		return b.passing
	}
	return b.ReadSeekCloser
}

// Verified returns nil once the bytes that this response reads are known to be the
// blob's: those verified before, and still the same.
func (b *StoredBlob) Verified(ctx context.Context) error {
	if b.passing != nil && b.passing.end == b.row.Size {
		return b.passed(ctx)
	}
	if !b.trusted && b.check == nil {
		b.check = b.registry.verify(b.row, b.identity)
	}
	if b.check != nil {
		if err := b.check.wait(ctx); err != nil {
			return err
		}
	}
	now, err := blob.IdentityOf(b.ReadSeekCloser)
	if err == nil && b.identity != "" && now != b.identity {
		err = errChanged
	}
	if err != nil {
		return fmt.Errorf("sending blob %s: %w", b.row.Digest, err)
	}
	return nil
}

// passed is Verified for a response that has read the whole blob, in order.
func (b *StoredBlob) passed(ctx context.Context) error {
	r, alg := b.registry, b.row.Digest.Algorithm()
	err := compare(b.row, b.origin, b.passing.end, digest.NewDigest(alg, b.passing.hash))
	if err == nil {
		r.sound.remember(b.row.Key, b.identity, r.now())
	}
	return r.conclude(ctx, err)
}

// passingHash hashes what a response reads from the beginning on, for as long as nothing
// is left out. It holds the request's context because io.Reader has no room for it.
type passingHash struct {
	blob *StoredBlob
	ctx  context.Context
	hash hash.Hash
	at   int64 // where the next Read begins
	end  int64 // of what was hashed
}

func (p *passingHash) Read(to []byte) (int, error) {
	n, err := p.blob.Read(to)
	if found := mismatch(p.blob.row, p.blob.origin, err); found != nil {
		err = p.blob.registry.conclude(p.ctx, found)
	}
	if p.at == p.end {
		_, _ = p.hash.Write(to[:n]) // a hash never fails
		p.end += int64(n)
	}
	p.at += int64(n)
	return n, err
}

func (p *passingHash) Seek(offset int64, whence int) (int64, error) {
	at, err := p.blob.Seek(offset, whence)
	if err == nil {
		p.at = at
	}
	return at, err
}
