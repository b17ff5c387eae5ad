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

// asideLimit bounds how long setting a blob aside may take. It goes on when the request
// that met the damage has ended.
const asideLimit = time.Minute

// damage is a blob whose stored bytes are gone or are not its own. It is an error with
// ErrDamaged in its chain.
type damage struct {
	row      metadata.Blob
	identity string // of the bytes that were looked at; "" where it is not known
	reason   string
	missing  bool // there are no bytes at all
}

func (d *damage) Error() string {
	return fmt.Sprintf("blob %s: %s: %s", d.row.Digest, d.reason, ErrDamaged)
}

func (d *damage) Unwrap() error { return ErrDamaged }

func gone(row metadata.Blob) *damage {
	return &damage{row: row, missing: true, reason: fmt.Sprintf("its %d bytes are not in storage", row.Size)}
}

func wrongSize(row metadata.Blob, identity string, size int64) *damage {
	return &damage{row: row, identity: identity, reason: fmt.Sprintf("storage holds %d bytes of it and not %d", size, row.Size)}
}

// asider is a blob.Store that can keep damaged bytes where no commit and no collector
// finds them.
type asider interface {
	SetAside(ctx context.Context, key string) error
}

// copier is a blob.Store that keeps copies of blobs, which may be damaged while the
// blobs are not.
type copier interface {
	DropCopy(key string) (kept bool)
}

// digester is a blob.Store that verifies what comes from afar against a digest.
type digester interface {
	OpenDigest(ctx context.Context, key string, d digest.Digest) (io.ReadSeekCloser, error)
}

func (r *Registry) openBytes(ctx context.Context, row metadata.Blob) (io.ReadSeekCloser, error) {
	if store, ok := r.blobs.(digester); ok {
		return store.OpenDigest(ctx, row.Key, row.Digest)
	}
	return r.blobs.Open(ctx, row.Key)
}

// setAside makes a damaged blob unreadable until it is stored again. What caches alone
// link is deleted, since their upstream has it; the bytes of a hosted blob are kept
// aside and named. Nothing is done, and done is false, where the blob was deleted or
// stored anew since the damage was seen.
func (r *Registry) setAside(ctx context.Context, found *damage) (done bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), asideLimit)
	defer cancel()
	defer r.guard.Removing(found.row.Digest)()
	there, err := r.stillDamaged(ctx, found)
	if err != nil || !there {
		return false, err
	}
	hosted, err := r.db.Blobs.LinkedByAny(ctx, found.row.Digest, metadata.Hosted)
	if err != nil {
		return false, err
	}
	if hosted && found.missing {
		if err := r.isOurs(ctx, found.row.Digest); err != nil {
			return false, err
		}
	}
	// The bytes first: were the row forgotten before them, a commit of the same digest
	// might take them for its own.
	if err := r.removeDamaged(ctx, found.row.Key, hosted); err != nil {
		return false, err
	}
	r.sound.forget(found.row.Key)
	record := metadata.DamagedBlob{Blob: found.row, Reason: found.reason, FoundAt: r.now()}
	if _, err := r.db.Damaged.Set(ctx, record); err != nil {
		return false, err
	}
	r.metrics.setAside(hosted)
	r.log.Error("a damaged blob was set aside: what caches alone hold is fetched anew, what was pushed has to be pushed again",
		"digest", found.row.Digest, "key", found.row.Key, "size", found.row.Size, "hosted", hosted, "reason", found.reason)
	return true, nil
}

// isOurs tells by the probe's blobs whether the storage is this registry's. One that is
// mounted or named wrongly lacks every blob, and none may be given up for that. A
// registry that was never probed cannot tell.
func (r *Registry) isOurs(ctx context.Context, missing digest.Digest) error {
	proof, err := ProbeBlobs()
	if err != nil {
		return err
	}
	for _, d := range proof {
		row, err := r.db.Blobs.Held(ctx, d)
		if errors.Is(err, metadata.ErrNotFound) || d == missing {
			continue
		}
		if err == nil {
			_, err = r.blobs.Stat(ctx, row.Key)
		}
		if err != nil {
			return fmt.Errorf("nothing was set aside, since the storage lacks more than blob %s: see that the data folder, or the bucket and its prefix, are this registry's: %w", missing, err)
		}
	}
	return nil
}

func (r *Registry) removeDamaged(ctx context.Context, key string, hosted bool) error {
	if aside, ok := r.blobs.(asider); ok && hosted {
		return aside.SetAside(ctx, key)
	}
	return r.blobs.Delete(ctx, key)
}

// stillDamaged looks once more, now that nobody stores the blob: another request may
// have met the same damage, or a push mended it.
func (r *Registry) stillDamaged(ctx context.Context, found *damage) (bool, error) {
	held, err := r.db.Blobs.Held(ctx, found.row.Digest)
	if errors.Is(err, metadata.ErrNotFound) {
		return false, nil
	}
	if err != nil || held != found.row {
		return false, err
	}
	if store, ok := r.blobs.(copier); ok && store.DropCopy(held.Key) {
		r.log.Warn("a local copy of a blob was damaged and is read from storage again", "digest", held.Digest, "key", held.Key, "reason", found.reason)
		return false, nil
	}
	now, err := r.open(ctx, held)
	if err != nil {
		return answerOf(err)
	}
	defer func() { _ = now.Close() }()
	if found.identity != "" {
		return now.identity == found.identity, nil
	}
	_, err = r.readBack(ctx, held)
	return answerOf(err)
}

// answerOf tells whether a reading has found damage.
func answerOf(err error) (damaged bool, failed error) {
	if errors.Is(err, ErrDamaged) {
		return true, nil
	}
	return false, err
}

// refuseDamaged is the answer to whoever asks for a blob that is damaged.
func refuseDamaged(d digest.Digest, cause error) error {
	return &oci.Error{
		Code:    oci.CodeUnknown,
		Message: fmt.Sprintf("blob %s is damaged in this registry's storage: push the image again, or tell its operator to restore it from a backup; larder fsck lists what is damaged", d),
		Err:     cause,
	}
}
