package gc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// deleteTimeout bounds the deletion of one blob's bytes, which goes on when whoever
// asked for it has gone: their row is gone already.
const deleteTimeout = 30 * time.Second

// ErrForeign says that the storage belongs to another database, which knows other blobs.
var ErrForeign = errors.New("the storage belongs to another database")

// Sweeper removes blobs that no repository links.
type Sweeper struct {
	Blobs blob.Store
	DB    *metadata.DB
	Guard *blob.Guard // of all who store blobs in this process
	// Keep are blobs that stay although no repository links them.
	Keep []digest.Digest
	// Ours is asked before blobs are looked for to be removed. The error is ErrForeign, or
	// says why this cannot be found out. Nil means that nobody else can have the storage.
	Ours func(ctx context.Context) error
}

// ours is nil when what is in storage may be removed.
func (s *Sweeper) ours(ctx context.Context) error {
	if s.Ours == nil {
		return nil
	}
	return s.Ours(ctx)
}

// Remove removes a blob, its row and then its bytes, provided that no repository links
// it, that the row still has this key, and that it was stored before a time; removed
// tells whether all that held. Bytes that could not be deleted after their row was are
// an error; they are orphans, which later collections find.
func (s *Sweeper) Remove(ctx context.Context, b metadata.Blob, storedBefore time.Time) (removed bool, err error) {
	if s.kept(b.Digest) {
		return false, nil
	}
	defer s.Guard.Removing(b.Digest)()
	removed, err = s.DB.Blobs.ForgetUnlinked(ctx, b, storedBefore)
	if err != nil || !removed {
		return false, err
	}
	return true, s.deleteBytes(ctx, b.Key)
}

func (s *Sweeper) kept(d digest.Digest) bool { return slices.Contains(s.Keep, d) }

// removeOrphan deletes bytes that no row leads to, and tells whether that was still so.
// Where the key is that of a digest, a push may be about to make them its blob's.
func (s *Sweeper) removeOrphan(ctx context.Context, key string) (removed bool, err error) {
	if d, ok := blob.DigestOf(key); ok {
		defer s.Guard.Removing(d)()
	}
	orphans, err := s.DB.Orphans.Among(ctx, []string{key})
	if err != nil || len(orphans) == 0 {
		return false, err
	}
	return true, s.deleteBytes(ctx, key)
}

func (s *Sweeper) deleteBytes(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	if err := s.Blobs.Delete(ctx, key); err != nil {
		return fmt.Errorf("deleting the bytes of %s: %w", key, err)
	}
	return nil
}
