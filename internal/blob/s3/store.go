// Package s3 is the driver of blob.Store that keeps blobs as objects of an S3
// bucket:
//
//	PREFIX/blobs/RANDOM    a blob; its key is the random name
//	PREFIX/uploads/RANDOM  the tail of an upload that was saved
//	PREFIX/owner           says whose they all are
//
// What comes is cut into parts that go up while more comes, each with its SHA-256
// so that S3 refuses one that was damaged on its way. Nothing is renamed or
// copied, since S3 can do neither in place: the name is chosen before the digest
// is known, and one digest may be kept under several names. The multipart uploads that
// S3 was asked to begin are noted in Records, since those that a crash has cut off are
// otherwise known to S3 alone. A bucket without versions suits best.
package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

const (
	spoolDirMode fs.FileMode = 0o750
	// cleanupTimeout bounds the removal of what is not wanted any more, which goes
	// on when the request that asked for it has ended.
	cleanupTimeout = 30 * time.Second
)

// Store keeps blobs in a bucket. Any number of processes may use one bucket and
// prefix at a time.
type Store struct {
	client   *minio.Core
	once     *minio.Core // sends each request once
	records  Records
	tries    int
	bucket   string
	blobs    string // prefix of the keys of blobs, with a slash at its end
	uploads  string // prefix of the keys of tails, likewise
	owner    string // key of the object that says whose they are
	spoolDir string
	partSize int64
}

var _ blob.Store = (*Store)(nil)

// Open connects to the bucket, which has to exist.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening the object storage %s: %w", c, err)
	}
	return s, nil
}

func open(ctx context.Context, c Config) (*Store, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(c.Endpoint.Scheme == "https", c.Stall)
	if err != nil {
		return nil, err
	}
	client, err := c.client(transport, c.Tries)
	if err != nil {
		return nil, err
	}
	once, err := c.client(transport, 1)
	if err != nil {
		return nil, err
	}
	exists, err := client.BucketExists(ctx, c.Bucket)
	if err != nil {
		return nil, explained(err)
	}
	if !exists {
		return nil, fmt.Errorf("there is no bucket %s: create it first", c.Bucket)
	}
	if err := os.MkdirAll(c.SpoolDir, spoolDirMode); err != nil {
		return nil, err
	}
	return &Store{
		client:   client,
		once:     once,
		records:  c.Records,
		tries:    c.Tries,
		bucket:   c.Bucket,
		blobs:    path.Join(c.Prefix, "blobs") + "/",
		uploads:  path.Join(c.Prefix, "uploads") + "/",
		owner:    path.Join(c.Prefix, ownerName),
		spoolDir: c.SpoolDir,
		partSize: c.PartSize,
	}, nil
}

// client sends each request at most that many times.
func (c Config) client(transport http.RoundTripper, tries int) (*minio.Core, error) {
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	return minio.NewCore(c.Endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""),
		Secure:       c.Endpoint.Scheme == "https",
		Transport:    transport,
		Region:       c.Region,
		BucketLookup: lookup,
		MaxRetries:   tries,
	})
}

// Create begins an upload. What the context ends are the parts that go up between
// calls; Save and Commit send them again.
func (s *Store) Create(ctx context.Context, alg digest.Algorithm) (blob.Upload, error) {
	if err := blob.CheckAlgorithm(alg); err != nil {
		return nil, fmt.Errorf("beginning an upload: %w", err)
	}
	return &upload{transfer: newTransfer(ctx, s, alg)}, nil
}

// Spool begins a spool in a local file. What the context ends are the parts that
// go up between calls; Commit sends them again.
func (s *Store) Spool(ctx context.Context, alg digest.Algorithm) (blob.Spool, error) {
	if err := blob.CheckAlgorithm(alg); err != nil {
		return nil, fmt.Errorf("beginning a spool: %w", err)
	}
	file, err := s.scratch()
	if err != nil {
		return nil, fmt.Errorf("beginning a spool: %w", err)
	}
	return &spool{transfer: newTransfer(ctx, s, alg), file: file, sum: newSum()}, nil
}

// Stat tells a blob's size in bytes.
func (s *Store) Stat(ctx context.Context, key string) (int64, error) {
	info, err := s.stat(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("looking for blob %.80s: %w", key, err)
	}
	return info.Size, nil
}

func (s *Store) stat(ctx context.Context, key string) (minio.ObjectInfo, error) {
	if err := checkKey(key); err != nil {
		return minio.ObjectInfo{}, err
	}
	return s.head(ctx, s.blobs+key)
}

// head asks for an object by its key with the prefix. S3 answers this without
// saying whether it is the object or the bucket that is not there, and only the
// first may be taken for a blob that is lost.
func (s *Store) head(ctx context.Context, key string) (minio.ObjectInfo, error) {
	info, err := s.client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	err = explained(err)
	if !errors.Is(err, blob.ErrNotFound) {
		return info, err
	}
	exists, failed := s.client.BucketExists(ctx, s.bucket)
	if failed != nil {
		return info, explained(failed)
	}
	if !exists {
		return info, fmt.Errorf("%w: the bucket %s is not there any more", blob.ErrUnavailable, s.bucket)
	}
	return info, err
}

// Delete removes a blob. In a bucket with versions, S3 keeps the bytes until its
// own rules remove them.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := checkKey(key)
	if err == nil {
		err = s.remove(ctx, s.blobs+key)
	}
	if err != nil {
		return fmt.Errorf("deleting blob %.80s: %w", key, err)
	}
	return nil
}

// remove removes an object, which need not be there any more.
func (s *Store) remove(ctx context.Context, key string) error {
	return gone(s.client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{}))
}

// Walk calls fn for every blob in the lexical order of the keys, and holds a
// thousand of them at a time. What carries no name of ours is passed over. Some
// services, Amazon's among them, give as Modified the time when the upload of a
// blob in parts began, not when it ended.
func (s *Store) Walk(ctx context.Context, fn func(blob.Entry) error) error {
	options := minio.ListObjectsOptions{Prefix: s.blobs, Recursive: true}
	for object := range s.client.ListObjectsIter(ctx, s.bucket, options) {
		err := explained(object.Err)
		if err == nil {
			err = ctx.Err()
		}
		if key := strings.TrimPrefix(object.Key, s.blobs); err == nil && checkKey(key) == nil {
			err = fn(blob.Entry{Key: key, Size: object.Size, Modified: object.LastModified})
		}
		if err != nil {
			return fmt.Errorf("walking over the blobs: %w", err)
		}
	}
	// A listing that was cut short by the context ends like one that is whole.
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("walking over the blobs: %w", err)
	}
	return nil
}

// checkKey accepts the names that rand.Text gives, so that no key leads to an
// object which is not a blob.
func checkKey(key string) error {
	const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	if len(key) != len(rand.Text()) || strings.Trim(key, base32) != "" {
		return fmt.Errorf("blob key %.80q is none of this store: it keeps blobs under random names", key)
	}
	return nil
}
