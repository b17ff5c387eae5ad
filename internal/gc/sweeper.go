package gc

import (
	"context"
	"fmt"
	"time"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// deleteTimeout bounds the deletion of one blob's bytes, which goes on when whoever
// asked for it has gone: their row is gone already.
const deleteTimeout = 30 * time.Second

// Sweeper removes blobs that no repository links.
type Sweeper struct {
	Blobs blob.Store
	DB    *metadata.DB
	Guard *blob.Guard // of all who store blobs in this process
}

// Remove removes a blob, its row and then its bytes, provided that no repository links
// it, that the row still has this key, and that it was stored before a time; removed
// tells whether all that held. Bytes that could not be deleted after their row was are
// an error; the next collection finds them.
func (s *Sweeper) Remove(ctx context.Context, b metadata.Blob, storedBefore time.Time) (removed bool, err error) {
	defer s.Guard.Removing(b.Digest)()
	removed, err = s.DB.Blobs.ForgetUnlinked(ctx, b, storedBefore)
	if err != nil || !removed {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	if err := s.Blobs.Delete(ctx, b.Key); err != nil {
		return true, fmt.Errorf("deleting the bytes of blob %s: %w", b.Digest, err)
	}
	return true, nil
}
