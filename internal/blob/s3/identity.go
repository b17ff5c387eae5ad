package s3

import (
	"context"
	"fmt"

	"github.com/larder-registry/larder/internal/blob"
)

var _ blob.Opened = (*object)(nil)

// Identity is the object's entity tag, which S3 gives to bytes when they are stored and
// checks at each request for them.
func (o *object) Identity() (string, error) { return o.etag, nil }

// Near is false: each reading is a request, and may be paid for.
func (o *object) Near() bool { return false }

// SetAside leaves a damaged blob where it is, since no other is ever stored under its
// key: it is lost to Larder when metadata forgets the key, and a collector may take it.
func (s *Store) SetAside(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("setting blob %.80s aside: %w", key, err)
	}
	return nil
}
