package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// ErrChanged is returned when a registry that was to be moved was in use meanwhile.
var ErrChanged = errors.New("the registry was changed while it was moved: stop every server that uses it, and move it again")

// MoveBlobs copies the blobs of a dump from one store to another, but for those that
// the journal says were moved and that are there. Nothing is removed.
func MoveBlobs(ctx context.Context, d *Dump, from, to blob.Store, j *Journal, progress Progress) (Report, error) {
	var c collector
	done := progress("moving blobs", d.Blobs())
	err := d.each(ctx, func(ctx context.Context, b metadata.Blob) error {
		defer done()
		there, err := moved(ctx, b, to, j)
		if err != nil {
			return err
		}
		if there {
			c.add(func(r *Report) { r.Held++ })
			return nil
		}
		return c.copy(ctx, b, FromStore(from), func(r io.Reader) error {
			key, err := store(ctx, to, b.Digest, r)
			if err == nil {
				err = j.add(b.Digest, key)
			}
			return err
		})
	})
	return c.report, err
}

func moved(ctx context.Context, b metadata.Blob, to blob.Store, j *Journal) (bool, error) {
	key, noted := j.Key(b.Digest)
	if !noted {
		return false, nil
	}
	size, err := to.Stat(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for blob %s where it was moved: %w", b.Digest, err)
	}
	return size == b.Size, nil
}

// ReadBack reads every blob of a dump from where it was moved and compares it with its
// digest. What is wrong there is lost; the original is not touched.
func ReadBack(ctx context.Context, d *Dump, in blob.Store, j *Journal, progress Progress) (Report, error) {
	var c collector
	done := progress("reading blobs back", d.Blobs())
	err := d.each(ctx, func(ctx context.Context, b metadata.Blob) error {
		defer done()
		key, noted := j.Key(b.Digest)
		if !noted {
			c.lose(b, fmt.Errorf("it was not moved: %w", blob.ErrNotFound))
			return nil
		}
		b.Key = key
		return c.copy(ctx, b, FromStore(in), func(r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
	})
	return c.report, err
}

// MoveMetadata loads a dump of from into the empty database to, with the keys of the
// journal unless that is nil, and compares all rows. ErrChanged says that from is not
// what the dump says any more.
func MoveMetadata(ctx context.Context, d *Dump, from, to *metadata.DB, j *Journal) error {
	if err := Unchanged(ctx, d, from); err != nil {
		return err
	}
	if err := d.load(ctx, to, j.keysOf()); err != nil {
		return err
	}
	there, err := to.Dump(ctx, io.Discard)
	if err != nil {
		return err
	}
	if there.Content != d.Summary.Content {
		return fmt.Errorf("the rows that were moved have the sum %s, and those they were made of %s: this is a bug of larder's; the old database is as it was", there.Content, d.Summary.Content)
	}
	if err := Unchanged(ctx, d, from); err != nil {
		return fmt.Errorf("%w; the new database has to be emptied first", err)
	}
	return nil
}

// Unchanged returns ErrChanged when a database is not what a dump says any more.
func Unchanged(ctx context.Context, d *Dump, db *metadata.DB) error {
	now, err := db.Dump(ctx, io.Discard)
	if err == nil && now.Content != d.Summary.Content {
		err = ErrChanged
	}
	return err
}

// keysOf are the new keys of blobs; nil when there is no journal, since they stay.
func (j *Journal) keysOf() func(metadata.Blob) (string, error) {
	if j == nil {
		return nil
	}
	return j.KeyOf
}

// KeyOf is the new key of a blob that was moved.
func (j *Journal) KeyOf(b metadata.Blob) (string, error) {
	key, moved := j.Key(b.Digest)
	if !moved {
		return "", fmt.Errorf("blob %s was not moved", b.Digest)
	}
	return key, nil
}
