package s3

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/sleep"
)

// partsOfOneSize is after how many parts their size doubles. Of 16 MiB parts,
// 10,000 then hold 5 TiB and more, and a blob below 15 GiB has none but those.
const partsOfOneSize = 1000

// piece is a run of bytes that goes up in one request.
type piece struct {
	content io.ReaderAt
	offset  int64
	size    int64
	sum     string // SHA-256, hexadecimal
	release func() // called once, when it has gone up or is not wanted; nil for nothing
}

// body is read again from its start with each try.
func (p piece) body() *io.SectionReader { return io.NewSectionReader(p.content, p.offset, p.size) }

// put keeps a piece as an object.
func (s *Store) put(ctx context.Context, key string, p piece) error {
	_, err := s.client.PutObject(ctx, s.bucket, key, p.body(), p.size, "", p.sum,
		minio.PutObjectOptions{DisableContentSha256: true}) // the sum is given
	return explained(err)
}

// multipart is a multipart upload, begun with its first part. It is used by one
// goroutine at a time.
type multipart struct {
	store *Store
	key   string   // of the blob that it will be
	id    string   // given by S3; empty before the first part
	etags []string // of the parts from number 1 on
	size  int64    // bytes in the parts
	noted time.Time
}

// noteEvery is how old the record of a multipart upload that goes on may become.
const noteEvery = time.Hour

// beginDelay is waited before S3 is asked again to begin, and longer with each try.
const beginDelay = 100 * time.Millisecond

// partSize is the size of the next part in bytes when there are some already, at
// most maxParts.
func partSize(first int64, parts int) int64 {
	return min(first<<(parts/partsOfOneSize), maxPartSize)
}

// leastSize is the size in bytes from which on a rest that is saved becomes a
// part. It grows as the parts do: otherwise many small requests would use up
// their number.
func leastSize(parts int) int64 { return partSize(minPartSize, parts) }

// send makes the piece the next part.
func (m *multipart) send(ctx context.Context, p piece) error {
	s := m.store
	if len(m.etags) == maxParts {
		return fmt.Errorf("the blob has more than %d parts: it is too large for S3", maxParts)
	}
	if m.id == "" {
		if err := m.begin(ctx); err != nil {
			return fmt.Errorf("beginning a multipart upload: %w", err)
		}
	}
	if time.Since(m.noted) > noteEvery {
		if err := m.note(ctx); err != nil {
			return err
		}
	}
	number := len(m.etags) + 1
	part, err := s.client.PutObjectPart(ctx, s.bucket, s.blobs+m.key, m.id, number, p.body(), p.size,
		minio.PutObjectPartOptions{Sha256Hex: p.sum, DisableContentSha256: true}) // the sum is given
	if err != nil {
		return fmt.Errorf("sending part %d of %d bytes: %w", number, p.size, explained(err))
	}
	m.etags = append(m.etags, part.ETag)
	m.size += p.size
	return nil
}

// begin asks S3 to begin, under another key with each try, and each key is noted before:
// what S3 has begun without its answer having arrived is known by its key alone.
func (m *multipart) begin(ctx context.Context) error {
	s := m.store
	for tries := 1; ; tries++ {
		key := rand.Text()
		if err := s.records.Note(ctx, key, ""); err != nil {
			return err
		}
		id, err := s.once.NewMultipartUpload(ctx, s.bucket, s.blobs+key, minio.PutObjectOptions{})
		if err == nil {
			m.key, m.id = key, id
			return m.note(ctx)
		}
		if refused(err) {
			_ = s.records.Forget(ctx, key) // otherwise the sweep finds nothing there
			return explained(err)
		}
		if tries == s.tries {
			return explained(err)
		}
		if err := sleep.For(ctx, time.Duration(tries)*beginDelay); err != nil {
			return err
		}
	}
}

// note renews the record.
func (m *multipart) note(ctx context.Context) error {
	if err := m.store.records.Note(ctx, m.key, m.id); err != nil {
		return err
	}
	m.noted = time.Now()
	return nil
}

// complete makes the parts the blob. When another may have completed them before, S3
// says so, or that all is well: whose the blob is shows in its entity tag alone. It is
// certain when nothing else than these parts can be in it.
func (m *multipart) complete(ctx context.Context, shared bool) (certain bool, err error) {
	s := m.store
	parts := make([]minio.CompletePart, len(m.etags))
	for i, etag := range m.etags {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: etag}
	}
	_, err = s.client.CompleteMultipartUpload(ctx, s.bucket, s.blobs+m.key, m.id, parts, minio.PutObjectOptions{})
	certain, ended := !shared, hasCode(err, minio.NoSuchUpload)
	err = explained(err)
	if ended || err == nil && shared {
		var info minio.ObjectInfo
		info, err = s.stat(ctx, m.key)
		certain = certain || info.ETag == m.etag()
	}
	if err != nil {
		return false, fmt.Errorf("completing a multipart upload of %d parts: %w", len(parts), err)
	}
	_ = s.records.Forget(ctx, m.key) // otherwise the sweep finds that it has ended
	return certain, nil
}

// exists asks S3 for the last part.
func (m *multipart) exists(ctx context.Context) error {
	s, last := m.store, len(m.etags)
	listed, err := s.client.ListObjectParts(ctx, s.bucket, s.blobs+m.key, m.id, last-1, 1)
	if err != nil {
		return explained(err)
	}
	if len(listed.ObjectParts) == 0 || listed.ObjectParts[0].PartNumber != last {
		return fmt.Errorf("part %d of the multipart upload: %w", last, blob.ErrNotFound)
	}
	return nil
}

// abort drops the parts.
func (m *multipart) abort(ctx context.Context) error {
	if m.id == "" {
		return nil
	}
	err := m.store.client.AbortMultipartUpload(ctx, m.store.bucket, m.store.blobs+m.key, m.id)
	if err := gone(err); err != nil {
		return fmt.Errorf("aborting a multipart upload: %w", err)
	}
	return m.store.records.Forget(ctx, m.key)
}
