package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/larder-registry/larder/internal/blob"
)

// sweepBatch is how many multipart uploads are read from the records at a time.
const sweepBatch = 100

// SweepStrays removes what transfers have left that were cut off: the multipart uploads
// and the tails that are older than before and that none of the states, as Save returned
// them, names. It tells how many they were. Transfers may be running, here and in other
// processes: none that has sent a part since that time is touched.
func (s *Store) SweepStrays(ctx context.Context, saved [][]byte, before time.Time) (removed int, err error) {
	named := map[string]bool{}
	for _, text := range saved {
		var state uploadState
		if err := json.Unmarshal(text, &state); err != nil {
			return 0, fmt.Errorf("removing stray uploads: reading the state of a saved one: %w", err)
		}
		for _, name := range append([]string{state.Key, state.Tail}, state.Stale...) {
			named[name] = true
		}
	}
	parts, err := s.sweepMultiparts(ctx, named, before)
	if err != nil {
		return parts, fmt.Errorf("removing stray multipart uploads: %w", err)
	}
	tails, err := s.sweepTails(ctx, named, before)
	if err != nil {
		return parts + tails, fmt.Errorf("removing the tails of stray uploads: %w", err)
	}
	return parts + tails, nil
}

func (s *Store) sweepMultiparts(ctx context.Context, named map[string]bool, before time.Time) (removed int, err error) {
	for after := ""; ; {
		ids, err := s.records.OlderThan(ctx, before, after, sweepBatch)
		if err != nil {
			return removed, err
		}
		for _, key := range slices.Sorted(maps.Keys(ids)) {
			after = key
			if named[key] || checkKey(key) != nil {
				continue
			}
			n, err := s.sweepMultipart(ctx, key, ids[key])
			removed += n
			if err != nil {
				return removed, err
			}
		}
		if len(ids) < sweepBatch {
			return removed, nil
		}
	}
}

// sweepMultipart removes the parts that a key leads to. One that leads to a blob was
// completed, and could not be forgotten.
func (s *Store) sweepMultipart(ctx context.Context, key, id string) (removed int, err error) {
	if _, err := s.stat(ctx, key); err == nil {
		return 0, s.records.Forget(ctx, key)
	} else if !errors.Is(err, blob.ErrNotFound) {
		return 0, err
	}
	ids := []string{id}
	if id == "" {
		// S3 has begun it, or not: its answer was lost. The services that do not list the
		// uploads of a folder list those of a key.
		if ids, err = s.begunUnder(ctx, key); err != nil {
			return 0, err
		}
	}
	for _, id := range ids {
		err := s.client.AbortMultipartUpload(ctx, s.bucket, s.blobs+key, id)
		if err == nil {
			removed++
		} else if err := gone(err); err != nil {
			return removed, err
		}
	}
	return removed, s.records.Forget(ctx, key)
}

// begunUnder lists the multipart uploads of one key.
func (s *Store) begunUnder(ctx context.Context, key string) (ids []string, err error) {
	for upload := range s.client.ListIncompleteUploads(ctx, s.bucket, s.blobs+key, true) {
		if upload.Err != nil && err == nil {
			err = explained(upload.Err)
		}
		if upload.Err == nil && upload.Key == s.blobs+key {
			ids = append(ids, upload.UploadID)
		}
	}
	if err == nil {
		err = ctx.Err() // a listing that was cut short ends like one that is whole
	}
	return ids, err
}

func (s *Store) sweepTails(ctx context.Context, named map[string]bool, before time.Time) (removed int, err error) {
	options := minio.ListObjectsOptions{Prefix: s.uploads, Recursive: true}
	for object := range s.client.ListObjectsIter(ctx, s.bucket, options) {
		if object.Err != nil {
			return removed, explained(object.Err)
		}
		name := strings.TrimPrefix(object.Key, s.uploads)
		if named[name] || checkKey(name) != nil || !object.LastModified.Before(before) {
			continue
		}
		if err := s.remove(ctx, object.Key); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, ctx.Err()
}
