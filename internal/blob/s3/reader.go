package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// maxCuts is how many times in a row a body may break off before a byte of it
	// has come. Requests that are not answered are minio-go's to repeat.
	maxCuts = 5
	// cutDelay is waited after the first of them, and longer with each.
	cutDelay = 50 * time.Millisecond
)

// object reads an object with one request for each run of bytes, which goes on in
// another one when it breaks off.
type object struct {
	store  *Store
	ctx    context.Context // of Open
	key    string          // with its prefix
	etag   string
	size   int64
	offset int64         // of the next Read
	body   io.ReadCloser // nil when no request runs
	bodyAt int64         // offset of the next byte of the body
	cuts   int           // since the last byte came
	closed bool
}

// Open opens a blob for reading, with one request that tells its size; the bytes
// are asked for with the first Read after a Seek. The context ends reading too.
func (s *Store) Open(ctx context.Context, key string) (io.ReadSeekCloser, error) {
	err := checkKey(key)
	var o *object
	if err == nil {
		o, err = s.object(ctx, s.blobs+key)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %.80s: %w", key, err)
	}
	return o, nil
}

// object opens an object by its key with the prefix.
func (s *Store) object(ctx context.Context, key string) (*object, error) {
	info, err := s.head(ctx, key)
	if err != nil {
		return nil, err
	}
	return &object{store: s, ctx: ctx, key: key, etag: info.ETag, size: info.Size}, nil
}

// Seek costs nothing by itself.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.size
	default:
		return 0, fmt.Errorf("seeking in an object: whence is %d: %w", whence, fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seeking in an object to %d: %w", offset, fs.ErrInvalid)
	}
	o.offset = offset
	return offset, nil
}

// Read reads on after a body that broke off.
func (o *object) Read(p []byte) (int, error) {
	if o.closed {
		return 0, fmt.Errorf("reading an object: %w", fs.ErrClosed)
	}
	if o.offset >= o.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), o.size-o.offset)]
	for {
		if err := o.ask(); err != nil {
			return 0, fmt.Errorf("reading an object from byte %d of %d: %w", o.offset, o.size, err)
		}
		n, err := o.body.Read(p)
		o.offset += int64(n)
		o.bodyAt += int64(n)
		if n > 0 {
			o.cuts = 0
			return n, nil
		}
		if err == nil {
			return 0, nil
		}
		o.end()
		if err := o.pause(err); err != nil {
			return 0, fmt.Errorf("reading an object from byte %d of %d: %w", o.offset, o.size, err)
		}
	}
}

// ask makes the body begin with the next byte to be read.
func (o *object) ask() error {
	if o.body != nil && o.bodyAt == o.offset {
		return nil
	}
	o.end()
	var options minio.GetObjectOptions
	if o.offset > 0 {
		if err := options.SetRange(o.offset, 0); err != nil {
			return err
		}
	}
	if o.etag != "" {
		if err := options.SetMatchETag(o.etag); err != nil {
			return err
		}
	}
	body, _, header, err := o.store.client.GetObject(o.ctx, o.store.bucket, o.key, options)
	if err != nil {
		return explained(err)
	}
	if want := fmt.Sprintf("bytes %d-%d/%d", o.offset, o.size-1, o.size); o.offset > 0 && header.Get("Content-Range") != want {
		_ = body.Close()
		return fmt.Errorf("%w: asked for %s, S3 sends %.80q", blob.ErrUnavailable, want, header.Get("Content-Range"))
	}
	o.body, o.bodyAt = body, o.offset
	return nil
}

// pause waits before the next try, or tells why there is none.
func (o *object) pause(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if o.cuts++; o.cuts > maxCuts {
		return explained(err)
	}
	return sleep.For(o.ctx, time.Duration(o.cuts)*cutDelay)
}

// end ends the request that runs.
func (o *object) end() {
	if o.body != nil {
		_ = o.body.Close() // what it held is not wanted any more
		o.body = nil
	}
}

// Close ends the request that runs.
func (o *object) Close() error {
	if o.closed {
		return fmt.Errorf("closing an object: %w", fs.ErrClosed)
	}
	o.closed = true
	o.end()
	return nil
}
