package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// settleLimit bounds the wait for a blob that has just changed to come to rest, and
	// settlePoll is how often it is looked at.
	settleLimit = time.Second
	settlePoll  = 5 * time.Millisecond
)

// errChanged says that a blob was changed while it was read: what it holds now has to
// be found out by another reading.
var errChanged = errors.New("the stored bytes were changed while they were read")

// verifyInTurn is verifyNow once not too many large blobs are read at the same time.
func (r *Registry) verifyInTurn(ctx context.Context, row metadata.Blob) error {
	if row.Size > verifyFirst {
		select {
		case r.sound.slots <- struct{}{}:
			defer func() { <-r.sound.slots }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return r.verifyNow(ctx, row)
}

// verifyNow reads a blob back. What is good is remembered, what is damaged set aside.
// The error has ErrDamaged in its chain when that is what was found, and not when the
// storage could not be read.
func (r *Registry) verifyNow(ctx context.Context, row metadata.Blob) error {
	identity, err := r.readBack(ctx, row)
	if err == nil {
		r.sound.remember(row.Key, identity, r.now())
	}
	return r.conclude(ctx, err)
}

// conclude counts how a reading ended, and sets aside what it found to be damaged.
func (r *Registry) conclude(ctx context.Context, err error) error {
	r.metrics.verified(err)
	if found, ok := errors.AsType[*damage](err); ok {
		return r.meet(ctx, found)
	}
	return err
}

// meet sets a damaged blob aside that somebody has asked for, and returns the error that
// says so.
func (r *Registry) meet(ctx context.Context, found *damage) error {
	_, err := r.setAside(ctx, found)
	return errors.Join(found, err)
}

// readBack reads a blob to its end, and tells the identity of the bytes that it read. The
// error is a *damage when they are not the blob's.
func (r *Registry) readBack(ctx context.Context, row metadata.Blob) (identity string, err error) {
	return r.readBackThrough(ctx, row, func(content io.Reader) io.Reader { return content })
}

// readBackThrough is readBack by way of another reader.
func (r *Registry) readBackThrough(ctx context.Context, row metadata.Blob, through func(io.Reader) io.Reader) (identity string, err error) {
	content, identity, err := r.openSettled(ctx, row)
	if errors.Is(err, blob.ErrNotFound) {
		return "", gone(row)
	}
	if err != nil {
		return "", fmt.Errorf("reading blob %s back: %w", row.Digest, err)
	}
	defer func() { _ = content.Close() }()
	hash := row.Digest.Algorithm().Hash()
	size, err := io.CopyBuffer(struct{ io.Writer }{hash}, through(&contextReader{ctx, content}), make([]byte, copyBuffer))
	if found := mismatch(row, err); found != nil {
		return "", found
	}
	if err != nil {
		return "", fmt.Errorf("reading blob %s back: %w", row.Digest, err)
	}
	if after, err := identityOf(content); err != nil || after != identity {
		return "", fmt.Errorf("reading blob %s back: %w", row.Digest, errors.Join(err, errChanged))
	}
	return identity, compare(row, identity, size, digest.NewDigest(row.Digest.Algorithm(), hash))
}

// compare holds what was read against what was stored.
func compare(row metadata.Blob, identity string, size int64, got digest.Digest) error {
	switch {
	case size != row.Size:
		return wrongSize(row, identity, size)
	case got != row.Digest:
		return &damage{row: row, identity: identity, reason: fmt.Sprintf("its %d bytes have digest %s", size, got)}
	}
	return nil
}

// mismatch is the damage that the driver itself has found while it read; nil for none.
func mismatch(row metadata.Blob, err error) error {
	found, ok := errors.AsType[*blob.MismatchError](err)
	if !ok {
		return nil
	}
	return &damage{row: row, reason: "its bytes have digest " + found.Got.String()}
}

// openSettled opens a blob and waits until a change of its bytes could be told. One
// that does not come to rest in time has no identity.
func (r *Registry) openSettled(ctx context.Context, row metadata.Blob) (content io.ReadSeekCloser, identity string, err error) {
	content, err = r.openBytes(ctx, row)
	if err != nil {
		return nil, "", err
	}
	_, tells := content.(blob.Opened)
	for deadline := time.Now().Add(settleLimit); ; {
		identity, err = identityOf(content)
		if err == nil && (identity != "" || !tells || time.Now().After(deadline)) {
			return content, identity, nil
		}
		if err == nil {
			err = sleep(ctx, settlePoll)
		}
		if err != nil {
			return nil, "", errors.Join(err, content.Close())
		}
	}
}

// identityOf is "" where the driver tells none.
func identityOf(content io.ReadSeekCloser) (string, error) {
	if opened, ok := content.(blob.Opened); ok {
		return opened.Identity()
	}
	return "", nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// contextReader ends a long reading when the context is done.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}
