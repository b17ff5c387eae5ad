package metadata

import (
	"context"
	"time"
)

// ForgetUnlinked forgets a blob that no repository links and that was stored before a
// time, and tells whether it did: the bytes under its key are then nobody's. One whose
// row has another key by now, or does not say when it was stored, stays.
func (bs *Blobs) ForgetUnlinked(ctx context.Context, b Blob, storedBefore time.Time) (forgotten bool, err error) {
	changed, err := bs.store.change(ctx, `
		DELETE FROM blobs
		WHERE digest = $1 AND storage_key = $2 AND stored_at < $3
		AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = blobs.digest)`,
		b.Digest, b.Key, stamp{storedBefore})
	if err != nil {
		return false, failed(err, "forgetting blob %s, which nothing links", b.Digest)
	}
	return changed > 0, nil
}
