package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// asideLimit bounds how long setting a blob aside may take once its damage is certain,
	// since nobody can store the blob meanwhile.
	asideLimit = time.Minute
	// asideWait is how long a client that has met damage is held up for it.
	asideWait = 10 * time.Second
	// confirmRate is how many bytes a second a second reading comes at, at the least.
	confirmRate = 1 << 20
)

// errMended says that a blob which was found damaged is good where it is kept, or that
// it was deleted or stored anew since.
var errMended = errors.New("the blob is not damaged any more")

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

// meet sets a damaged blob aside that somebody has asked for, and returns the error that
// says so. Setting it aside may go on afterwards.
func (r *Registry) meet(ctx context.Context, found *damage) error {
	ctx, cancel := context.WithTimeout(ctx, asideWait)
	defer cancel()
	err := r.setAside(ctx, found)
	if errors.Is(err, errMended) || ctx.Err() != nil {
		return found
	}
	return errors.Join(found, err)
}

// setAside makes sure that a blob is damaged, and makes it unreadable until it is stored
// again. What caches alone link is deleted, since their upstream has it; the bytes of a
// hosted blob are kept aside and named. The error is errMended when nothing was to be
// done. All who meet the damage wait for the same work, which ctx does not end.
func (r *Registry) setAside(ctx context.Context, found *damage) error {
	return r.share(reading{key: found.row.Key, again: true}, func(ctx context.Context) error {
		certain, err := r.confirm(ctx, found)
		if err == nil {
			err = r.takeAside(ctx, certain)
		}
		if err != nil && !errors.Is(err, errMended) {
			r.log.Warn("a blob that was found damaged could not be set aside", "digest", found.row.Digest, "key", found.row.Key, "reason", found.reason, "error", err)
		}
		return err
	}).wait(ctx)
}

// confirm reads what is kept once more, where the first reading does not tell how that
// is: a copy may have been read, and bytes from afar may have been changed on their way.
// Nobody is held up meanwhile.
func (r *Registry) confirm(ctx context.Context, found *damage) (*damage, error) {
	row := found.row
	if store, ok := r.blobs.(copier); ok && found.near && store.DropCopy(row.Key) {
		r.log.Warn("a local copy of a blob was damaged and is read from storage again", "digest", row.Digest, "key", row.Key, "reason", found.reason)
		return nil, errMended
	}
	if found.near {
		return found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, asideLimit+time.Duration(row.Size/confirmRate)*time.Second)
	defer cancel()
	err := r.readInTurn(ctx, row, r.openKept)
	if again, ok := errors.AsType[*damage](err); ok {
		return again, nil
	}
	if err == nil {
		r.log.Warn("a blob was read wrong once and right the second time: see to what lies between this registry and its storage", "digest", row.Digest, "key", row.Key, "reason", found.reason)
		err = errMended
	}
	return nil, err
}

// takeAside sets a blob aside that is certainly damaged, unless it was deleted or stored
// anew meanwhile. Once begun it goes on when the program stops.
func (r *Registry) takeAside(ctx context.Context, found *damage) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), asideLimit)
	defer cancel()
	defer r.guard.Removing(found.row.Digest)()
	if err := r.isStill(ctx, found); err != nil {
		return err
	}
	hosted, err := r.db.Blobs.LinkedByAny(ctx, found.row.Digest, metadata.Hosted)
	if err != nil {
		return err
	}
	if hosted && found.missing {
		if err := r.isOurs(ctx, found.row.Digest); err != nil {
			return err
		}
	}
	// The bytes first: were the row forgotten before them, a commit of the same digest
	// might take them for its own.
	if err := r.removeDamaged(ctx, found.row.Key, hosted); err != nil {
		return err
	}
	r.sound.forget(found.row.Key)
	record := metadata.DamagedBlob{Blob: found.row, Reason: found.reason, FoundAt: r.now()}
	if _, err := r.db.Damaged.Set(ctx, record); err != nil {
		return err
	}
	r.metrics.setAside(hosted)
	r.log.Error("a damaged blob was set aside: what caches alone hold is fetched anew, what was pushed has to be pushed again",
		"digest", found.row.Digest, "key", found.row.Key, "size", found.row.Size, "hosted", hosted, "reason", found.reason)
	return nil
}

// isStill is nil when the bytes are those that were found damaged, now that nobody
// stores the blob: another request may have met the same damage, or a push mended it.
func (r *Registry) isStill(ctx context.Context, found *damage) error {
	held, err := r.db.Blobs.Held(ctx, found.row.Digest)
	if errors.Is(err, metadata.ErrNotFound) || err == nil && held != found.row {
		return errMended
	}
	if err != nil {
		return err
	}
	now, err := r.open(ctx, held, r.openKept)
	if err != nil {
		return undamaged(err)
	}
	defer func() { _ = now.Close() }()
	if found.near && found.identity == "" { // it was being changed
		if _, err := r.readBack(ctx, held, r.openKept); err != nil {
			return undamaged(err)
		}
		return errMended
	}
	if now.identity != found.identity {
		return errMended
	}
	return nil
}

// undamaged is the error of a reading that has found no damage.
func undamaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
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
