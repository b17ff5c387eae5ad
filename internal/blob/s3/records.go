package s3

import (
	"context"
	"time"
)

// Records remembers the multipart uploads that S3 was asked to begin: S3 keeps the parts
// of one that was never ended, and not every service lists them.
type Records interface {
	// Note remembers a multipart upload by the key of the blob that it will be, or that
	// it goes on. The id is empty before S3 has given it.
	Note(ctx context.Context, key, id string) error
	// Forget forgets a key, which need not be known.
	Forget(ctx context.Context, key string) error
	// OlderThan tells the ids, by key, of at most limit multipart uploads that were last
	// noted before a time and whose keys sort after another.
	OlderThan(ctx context.Context, before time.Time, after string, limit int) (map[string]string, error)
}

// noRecords remembers nothing.
type noRecords struct{}

func (noRecords) Note(context.Context, string, string) error { return nil }

func (noRecords) Forget(context.Context, string) error { return nil }

func (noRecords) OlderThan(context.Context, time.Time, string, int) (map[string]string, error) {
	return nil, nil
}
