package gc

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// evictImage removes one image, if that is still the one which was listed.
func (e *Evictor) evictImage(ctx context.Context, s *shelves, listed cachedImage) (freed int64, gone bool, err error) {
	eviction, ok, err := s.eviction(ctx, listed)
	if err != nil || !ok {
		return 0, false, err
	}
	only, err := e.DB.Blobs.CachedOnly(ctx, eviction.Repository, eviction.Blobs)
	if err != nil {
		return 0, false, err
	}
	went := cleared{}
	gone, err = e.DB.Manifests.Evict(ctx, eviction)
	if full(err) {
		// The database cannot even write that they are gone: their bytes make room for it.
		if err := e.dropBytes(ctx, eviction.Repository, only, went); err != nil {
			return went.bytes(), false, err
		}
		gone, err = e.DB.Manifests.Evict(ctx, eviction)
	}
	if err == nil && gone {
		e.Forget(oci.Repository(eviction.Repository), eviction.Manifests)
		err = e.removeBlobs(ctx, only, went)
	}
	return went.bytes(), gone, err
}

// cleared are the sizes of blobs whose bytes are gone. One that lost them before its row
// counts once, and also when its image was pulled meanwhile and stays.
type cleared map[digest.Digest]int64

func (c cleared) bytes() (sum int64) {
	for _, size := range c {
		sum += size
	}
	return sum
}

func (e *Evictor) removeBlobs(ctx context.Context, blobs []metadata.Blob, went cleared) error {
	for _, b := range blobs {
		removed, err := e.Sweeper.Remove(ctx, b, e.Now().Add(time.Second))
		if err != nil {
			return err
		}
		if removed {
			went[b.Digest] = b.Size
		}
	}
	return nil
}

// dropBytes deletes bytes before metadata forgets them. When that fails in between, the
// cache finds them missing and fetches them anew.
func (e *Evictor) dropBytes(ctx context.Context, repository string, blobs []metadata.Blob, went cleared) error {
	for _, b := range blobs {
		if err := e.dropBlob(ctx, repository, b, went); err != nil {
			return err
		}
	}
	return nil
}

func (e *Evictor) dropBlob(ctx context.Context, repository string, b metadata.Blob, went cleared) error {
	defer e.Sweeper.Guard.Removing(b.Digest)()
	still, err := e.DB.Blobs.CachedOnly(ctx, repository, []digest.Digest{b.Digest})
	if err != nil || len(still) == 0 || still[0].Key != b.Key {
		return err
	}
	if err := e.Sweeper.Blobs.Delete(ctx, b.Key); err != nil {
		return fmt.Errorf("deleting the bytes of blob %s: %w", b.Digest, err)
	}
	went[b.Digest] = b.Size
	return nil
}
