package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// maxBlobSize bounds what one upstream answer may put on the disk, in bytes.
const maxBlobSize = 1 << 40

// transfer brings the whole blob into the spool and verifies it.
func (f *fill) transfer(ctx context.Context) error {
	if err := f.bring(ctx); err != nil {
		return err
	}
	err := f.verify()
	if _, mismatch := errors.AsType[*blob.MismatchError](err); mismatch {
		return &upstream.Error{Kind: upstream.Invalid, Upstream: f.source.cache.Project, Message: "a blob that is not what it claims to be", Err: err}
	}
	if err != nil {
		return fmt.Errorf("verifying the spool: %w", err)
	}
	return nil
}

// bring appends the whole blob to the spool. The error is errHeld when it is stored.
func (f *fill) bring(ctx context.Context) error {
	if f.fills.peers != nil {
		return f.share(ctx)
	}
	if err := f.fromStorage(ctx); !errors.Is(err, metadata.ErrNotFound) {
		return err
	}
	return f.fetch(ctx)
}

// fetch receives from the upstream what is missing.
func (f *fill) fetch(ctx context.Context) error {
	body, err := f.source.open(ctx, f.payer, f.digest, f.writtenBytes())
	if err != nil && f.hasBegun() && resumable(err) { // readers count on it
		body, _, err = f.resume(ctx, 0, err)
	}
	if err != nil {
		return err
	}
	if !f.hasBegun() {
		if err := f.open(ctx, body.Size); err != nil {
			_ = body.Close()
			return err
		}
	}
	return f.receive(ctx, body)
}

func (f *fill) verify() error {
	if !f.passes() {
		return f.spool.Verify(f.digest)
	}
	if got := f.passing.outline.digest(); got != f.digest {
		return &blob.MismatchError{Want: f.digest, Got: got}
	}
	return nil
}

// open makes ready for size bytes, or, with -1, for as many as come.
func (f *fill) open(ctx context.Context, size int64) error {
	if size > maxBlobSize {
		return &upstream.Error{Kind: upstream.Invalid, Upstream: f.source.cache.Project, Message: fmt.Sprintf("a blob of %d bytes", size)}
	}
	f.update(func() { f.size = size })
	err := f.openSpool(ctx)
	if full(err) {
		err = f.pass(ctx)
	}
	if err != nil {
		return fmt.Errorf("opening a spool: %w", err)
	}
	f.markBegun()
	return nil
}

func (f *fill) openSpool(ctx context.Context) error {
	if !f.fills.fits(ctx, max(f.size, 0)) {
		return syscall.ENOSPC
	}
	var spool blob.Spool
	err := f.fills.retried(ctx, f.missing, func() (err error) {
		spool, err = f.fills.blobs.Spool(ctx, f.digest.Algorithm())
		return err
	})
	if err != nil {
		return err
	}
	f.update(func() { f.spool = spool })
	f.holdParts(f.fills.peers != nil && !f.leads())
	return nil
}
