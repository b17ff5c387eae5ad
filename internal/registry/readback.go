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
	"github.com/larder-registry/larder/internal/sleep"
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

// opener opens a blob's bytes: where they are read soonest, or where they are kept.
type opener func(ctx context.Context, row metadata.Blob) (io.ReadSeekCloser, error)

// digester is a blob.Store that verifies what comes from afar against a digest.
type digester interface {
	OpenDigest(ctx context.Context, key string, d digest.Digest) (io.ReadSeekCloser, error)
}

// openBytes opens a blob to be sent. It may be a copy of what is kept.
func (r *Registry) openBytes(ctx context.Context, row metadata.Blob) (io.ReadSeekCloser, error) {
	if store, ok := r.blobs.(digester); ok {
		return store.OpenDigest(ctx, row.Key, row.Digest)
	}
	return r.blobs.Open(ctx, row.Key)
}

// openKept opens a blob where it is kept, to find out how it is there.
func (r *Registry) openKept(ctx context.Context, row metadata.Blob) (io.ReadSeekCloser, error) {
	return blob.Innermost(r.blobs).Open(ctx, row.Key)
}

// verifyNow reads a blob back. What is good is remembered, what is damaged set aside.
// The error has ErrDamaged in its chain when that is what was found, and not when the
// storage could not be read.
func (r *Registry) verifyNow(ctx context.Context, row metadata.Blob) error {
	return r.conclude(ctx, r.readInTurn(ctx, row, r.openBytes))
}

// readInTurn is readBack once not too many large blobs are read at the same time. What is
// good is remembered.
func (r *Registry) readInTurn(ctx context.Context, row metadata.Blob, open opener) error {
	if row.Size > verifyFirst {
		select {
		case r.sound.slots <- struct{}{}:
			defer func() { <-r.sound.slots }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	identity, err := r.readBack(ctx, row, open)
	if err == nil {
		r.sound.remember(row.Key, identity, r.now())
	}
	return err
}

// conclude counts how a reading ended, and sets aside what it found to be damaged.
func (r *Registry) conclude(ctx context.Context, err error) error {
	r.metrics.verified(err)
	if found, ok := errors.AsType[*damage](err); ok {
		return r.meet(ctx, found)
	}
	return err
}

// readBack reads a blob to its end, and tells the identity of the bytes that it read. The
// error is a *damage when they are not the blob's.
func (r *Registry) readBack(ctx context.Context, row metadata.Blob, open opener) (identity string, err error) {
	return readBackThrough(ctx, row, open, func(content io.Reader) io.Reader { return content })
}

// readBackThrough is readBack by way of another reader.
func readBackThrough(ctx context.Context, row metadata.Blob, open opener, through func(io.Reader) io.Reader) (identity string, err error) {
	content, from, err := openSettled(ctx, row, open)
	if errors.Is(err, blob.ErrNotFound) {
		return "", gone(row)
	}
	if err != nil {
		return "", fmt.Errorf("reading blob %s back: %w", row.Digest, err)
	}
	defer func() { _ = content.Close() }()
	hash := row.Digest.Algorithm().Hash()
	size, err := io.CopyBuffer(struct{ io.Writer }{hash}, through(&contextReader{ctx, content}), make([]byte, copyBuffer))
	if found := mismatch(row, from, err); found != nil {
		return "", found
	}
	if err != nil {
		return "", fmt.Errorf("reading blob %s back: %w", row.Digest, err)
	}
	if after, err := blob.IdentityOf(content); err != nil || after != from.identity {
		return "", fmt.Errorf("reading blob %s back: %w", row.Digest, errors.Join(err, errChanged))
	}
	return from.identity, compare(row, from, size, digest.NewDigest(row.Digest.Algorithm(), hash))
}

// openSettled opens a blob and waits until a change of its bytes could be told. One
// that does not come to rest in time has no identity.
func openSettled(ctx context.Context, row metadata.Blob, open opener) (content io.ReadSeekCloser, from origin, err error) {
	content, err = open(ctx, row)
	if err != nil {
		return nil, origin{}, err
	}
	_, tells := content.(blob.Opened)
	for deadline := time.Now().Add(settleLimit); ; {
		from, err = originOf(content)
		if err == nil && (from.identity != "" || !tells || time.Now().After(deadline)) {
			return content, from, nil
		}
		if err == nil {
			err = sleep.For(ctx, settlePoll)
		}
		if err != nil {
			return nil, origin{}, errors.Join(err, content.Close())
		}
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
