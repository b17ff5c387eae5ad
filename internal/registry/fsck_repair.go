package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// restorer is an asider that can give back what it has kept aside.
type restorer interface {
	OpenAside(ctx context.Context, key string) (io.ReadSeekCloser, error)
	PutBack(ctx context.Context, key string) error
}

// mend makes a hosted blob readable again that was set aside: its bytes may be good by
// now, since a disk was mended or somebody has put them back, or a cache may have them.
func (f *fsck) mend(ctx context.Context, d metadata.DamagedBlob, found *Finding) error {
	if !f.Repair {
		return nil
	}
	how, err := f.takeBack(ctx, d)
	if err != nil {
		return err
	}
	if found.Repaired = how; how != "" {
		return nil
	}
	uses, err := f.db.Blobs.LinkedBy(ctx, d.Digest, "", maxNamed)
	if err != nil {
		return err
	}
	return f.refetch(ctx, found, uses)
}

// takeBack looks again at the bytes of a blob, where they were kept and where they were
// set aside, and tells how they came back; "" when they did not.
func (f *fsck) takeBack(ctx context.Context, d metadata.DamagedBlob) (how string, err error) {
	good, err := f.isGood(ctx, d.Blob, f.openKept)
	if good {
		how = "its bytes in storage are good again"
	}
	if aside, ok := blob.Innermost(f.Registry.blobs).(restorer); err == nil && !good && ok {
		good, err = f.isGood(ctx, d.Blob, func(ctx context.Context, row metadata.Blob) (io.ReadSeekCloser, error) {
			return aside.OpenAside(ctx, row.Key)
		})
		if good {
			how, err = "the bytes that were set aside are good again", aside.PutBack(ctx, d.Key)
		}
	}
	if err != nil || !good {
		return "", err
	}
	return how, f.knowAgain(ctx, d)
}

// isGood reads a blob's bytes, which the check has not set out to read. Those that cannot
// be read now may be good another time.
func (f *fsck) isGood(ctx context.Context, row metadata.Blob, open opener) (bool, error) {
	_, err := readBackThrough(ctx, row, open, func(r io.Reader) io.Reader { return &fsckReader{ctx, r, f, new(int64)} })
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return err == nil, nil
}

// knowAgain makes a blob readable whose bytes are in storage, unless a push has done so
// meanwhile.
func (f *fsck) knowAgain(ctx context.Context, d metadata.DamagedBlob) error {
	defer f.guard.Storing(d.Digest)()
	_, err := f.db.Damaged.Held(ctx, d.Digest)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = f.db.Blobs.Put(ctx, d.Blob)
	}
	return err
}

// refetch fetches a damaged blob anew through the first cache that gives it.
func (f *fsck) refetch(ctx context.Context, found *Finding, uses []metadata.Linking) error {
	if !f.Repair || f.Refetch == nil {
		return nil
	}
	for _, use := range uses {
		if use.Kind != metadata.Cache {
			continue
		}
		failed, err := f.refetchFrom(ctx, oci.Repository(use.Repository), found)
		if err != nil {
			return err
		}
		if failed == nil {
			found.Repaired = "it was fetched anew through " + use.Repository
			return nil
		}
		found.Reason += fmt.Sprintf("; it could not be fetched anew through %s: %v", use.Repository, failed)
	}
	return nil
}

// refetchFrom tells now and then that the check goes on. The error is about the check;
// failed says why the blob could not be had.
func (f *fsck) refetchFrom(ctx context.Context, repo oci.Repository, found *Finding) (failed, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f.Refetch(ctx, repo, found.Digest) }()
	again := time.NewTicker(tellEvery)
	defer again.Stop()
	for {
		select {
		case failed = <-ended:
			return failed, context.Cause(ctx)
		case <-again.C:
			if err := f.tell(nil); err != nil {
				cancel()
				return <-ended, err
			}
		}
	}
}
