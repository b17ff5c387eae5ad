package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// Walk calls fn for every blob in the lexical order of the keys, and holds the
// names of one folder at a time. Blobs that come or go meanwhile may be met or
// missed. A file that is no blob of ours is passed over, not reported: a lost
// and found folder or the leftover of a backup tool must not stop every later
// cleaning, and what is not named is not deleted by one either.
func (s *Files) Walk(ctx context.Context, fn func(Entry) error) error {
	if err := s.walk(ctx, "", fn); err != nil {
		return fmt.Errorf("walking over the blobs: %w", err)
	}
	return nil
}

// walk visits the folder below blobs with that key prefix.
func (s *Files) walk(ctx context.Context, prefix string, fn func(Entry) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.path(prefix))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		key := path.Join(prefix, entry.Name())
		if entry.IsDir() && holdsBlobs(key) {
			err = s.walk(ctx, key, fn)
		} else if entry.Type().IsRegular() && checkKey(key) == nil {
			err = visit(ctx, key, entry, fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// holdsBlobs says whether a folder is sha256, sha512 or a shard below them.
// Others are not even read: a lost and found folder is closed to all but root.
func holdsBlobs(prefix string) bool {
	if shard, err := path.Match("sha???/[0-9a-f][0-9a-f]", prefix); err == nil && shard {
		prefix = path.Dir(prefix)
	}
	return prefix == "sha256" || prefix == "sha512"
}

func visit(ctx context.Context, key string, entry fs.DirEntry, fn func(Entry) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted since the folder was read
	}
	if err != nil {
		return err
	}
	return fn(Entry{Key: key, Size: info.Size(), Modified: info.ModTime()})
}
