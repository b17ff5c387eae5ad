package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// fsckPage is how many rows a check holds at a time.
	fsckPage = 100
	// maxNamed bounds the repositories, tags and digests that one finding names.
	maxNamed = 20
	// tellEvery is how often progress is told while nothing is found.
	tellEvery = 250 * time.Millisecond
)

// Fsck is a check of everything that is kept. It holds nothing back: pushes and pulls go
// on meanwhile.
type Fsck struct {
	// OlderThan leaves out blobs that were verified by a check less long ago, so that one
	// that was broken off can be taken up again; zero verifies all.
	OlderThan time.Duration
	// Bandwidth bounds how fast blobs are read, in bytes a second; zero means no bound.
	Bandwidth int64
	// Repair looks again at the hosted blobs that were set aside, and fetches damaged blobs
	// anew where Refetch can.
	Repair bool
	// Refetch fetches a blob anew through a repository of a cache; nil: nobody can.
	Refetch func(ctx context.Context, repo oci.Repository, d digest.Digest) error
	// Tell hears how far the check is, and what it finds. An error ends the check.
	Tell func(FsckEvent) error
}

// FsckEvent is a step of a check. Those without a finding come a few times a second.
type FsckEvent struct {
	Progress FsckProgress `json:"progress"`
	Finding  *Finding     `json:"finding,omitempty"`
	Done     bool         `json:"done,omitempty"` // the check has come to its end
}

// FsckProgress tells how far a check is. The totals are those at its beginning.
type FsckProgress struct {
	Blobs      int64 `json:"blobs"`
	Bytes      int64 `json:"bytes"`
	TotalBlobs int64 `json:"totalBlobs"`
	TotalBytes int64 `json:"totalBytes"`
	Manifests  int64 `json:"manifests"` // read so far, each in each of its repositories
}

// Finding is something that is not as it should be.
type Finding struct {
	What         string        `json:"what"` // "blob" or "manifest"
	Digest       digest.Digest `json:"digest"`
	Reason       string        `json:"reason"`
	Repositories []string      `json:"repositories,omitempty"` // at most 20
	Tags         []string      `json:"tags,omitempty"`         // images that cannot be pulled whole, at most 20
	Advice       string        `json:"advice"`
	Repaired     string        `json:"repaired,omitempty"` // how it was mended; then there is nothing to do
}

// What to do about a finding.
const (
	adviceCached = "nothing: it is fetched anew from its upstream when it is next pulled"
	advicePush   = "push the image again, or restore it from a backup"
	adviceRead   = "see to the storage, then run larder fsck again: this tells nothing about the bytes"
	adviceDelete = "push what is missing, or delete the manifest if it is not wanted any more"
)

// fsck is one running check.
type fsck struct {
	Fsck
	*Registry
	progress FsckProgress
	told     time.Time // when Tell was last called
	pace     pace
}

// Fsck verifies every blob and every link. What is damaged is set aside and named; the
// error is about the check itself.
func (r *Registry) Fsck(ctx context.Context, c Fsck) error {
	f := &fsck{Fsck: c, Registry: r, pace: pace{bandwidth: c.Bandwidth}}
	for _, step := range []func(context.Context) error{f.blobs, f.damaged, f.dangling, f.manifests} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("checking the registry: %w", err)
		}
	}
	return f.Tell(FsckEvent{Progress: f.progress, Done: true})
}

func (f *fsck) tell(found *Finding) error {
	now := time.Now()
	if found == nil && now.Sub(f.told) < tellEvery {
		return nil
	}
	f.told = now
	return f.Tell(FsckEvent{Progress: f.progress, Finding: found})
}

// blobs reads every blob back.
func (f *fsck) blobs(ctx context.Context) (err error) {
	since := f.now().Add(-f.OlderThan)
	f.progress.TotalBlobs, f.progress.TotalBytes, err = f.db.Blobs.CountUnverified(ctx, since)
	if err != nil {
		return err
	}
	var after digest.Digest
	for {
		page, err := f.db.Blobs.Unverified(ctx, since, after, fsckPage)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := f.blobPage(ctx, page); err != nil {
			return err
		}
		after = page[len(page)-1].Digest
	}
}

// blobPage verifies some blobs, and remembers also when it is broken off which were good.
func (f *fsck) blobPage(ctx context.Context, page []metadata.Blob) (err error) {
	var good []metadata.Blob
	defer func() {
		err = errors.Join(err, f.db.Blobs.SetVerified(context.WithoutCancel(ctx), good, f.now()))
	}()
	for _, row := range page {
		found, err := f.blob(ctx, row)
		if err != nil {
			return err
		}
		if found == nil {
			good = append(good, row)
		}
		f.progress.Blobs++
		if err := f.tell(found); err != nil {
			return err
		}
	}
	return nil
}

// blob verifies one blob. A hosted one that is damaged is told with all that are.
func (f *fsck) blob(ctx context.Context, row metadata.Blob) (*Finding, error) {
	identity, err := readBackThrough(ctx, row, f.openKept, func(r io.Reader) io.Reader { return &fsckReader{ctx, r, f, &f.progress.Bytes} })
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil {
		f.sound.remember(row.Key, identity, f.now())
	}
	f.metrics.verified(err)
	damage, isDamage := errors.AsType[*damage](err)
	if err == nil || !isDamage {
		return f.unreadable(ctx, row, err)
	}
	err = f.setAside(ctx, damage)
	if errors.Is(err, errMended) {
		return nil, nil
	}
	if err != nil {
		return &Finding{What: "blob", Digest: row.Digest, Reason: damage.reason + ", and it could not be set aside: " + err.Error(), Advice: adviceRead}, nil
	}
	if _, err := f.db.Damaged.Held(ctx, row.Digest); err == nil || !errors.Is(err, metadata.ErrNotFound) {
		return nil, err
	}
	found := &Finding{What: "blob", Digest: row.Digest, Reason: damage.reason, Advice: adviceCached}
	uses, err := f.db.Blobs.LinkedBy(ctx, row.Digest, "", maxNamed)
	if err != nil {
		return nil, err
	}
	for _, use := range uses {
		found.Repositories = append(found.Repositories, use.Repository)
	}
	return found, f.refetch(ctx, found, uses)
}

// unreadable tells a blob that could not be read from one that is gone by now.
func (f *fsck) unreadable(ctx context.Context, row metadata.Blob, failure error) (*Finding, error) {
	if failure == nil {
		return nil, nil
	}
	if now, err := f.db.Blobs.Held(ctx, row.Digest); errors.Is(err, metadata.ErrNotFound) || err == nil && now != row {
		return nil, nil // deleted, or stored anew, since the page was read
	}
	return &Finding{What: "blob", Digest: row.Digest, Reason: "it could not be read: " + failure.Error(), Advice: adviceRead}, nil
}
