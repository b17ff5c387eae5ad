package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// Archive keeps the blobs of backups under their digests,
//
//	PREFIX/sha256/ab/ab12...
//
// as files are kept. It is no store: what has no name until it is whole cannot go
// under one.
type Archive struct {
	store  *Store
	prefix string
}

// OpenArchive connects to the bucket, which has to exist. SpoolDir is not used.
func OpenArchive(ctx context.Context, c Config) (*Archive, error) {
	c.SpoolDir = os.TempDir()
	store, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Archive{store: store, prefix: c.Prefix}, nil
}

// Holds tells whether a blob of that size is there.
func (a *Archive) Holds(ctx context.Context, d digest.Digest, size int64) (bool, error) {
	key, err := a.key(d)
	if err != nil {
		return false, err
	}
	info, err := a.store.head(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return err == nil && info.Size == size, err
}

// Put keeps a blob of that size once all of r was read. When r fails, nothing is
// kept.
func (a *Archive) Put(ctx context.Context, d digest.Digest, size int64, r io.Reader) error {
	key, err := a.key(d)
	if err == nil {
		_, err = a.store.client.Client.PutObject(ctx, a.store.bucket, key, r, size, minio.PutObjectOptions{})
	}
	if err != nil {
		return fmt.Errorf("keeping blob %s in the archive: %w", d, err)
	}
	return nil
}

// Open opens a blob for reading. The context ends reading too.
func (a *Archive) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	key, err := a.key(d)
	var o *object
	if err == nil {
		o, err = a.store.object(ctx, key)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %s in the archive: %w", d, err)
	}
	return o, nil
}

func (a *Archive) key(d digest.Digest) (string, error) {
	key, err := blob.FileKey(d)
	if err != nil {
		return "", err
	}
	return path.Join(a.prefix, key), nil
}
