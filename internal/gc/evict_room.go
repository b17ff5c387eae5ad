package gc

import (
	"context"
	"errors"
	"syscall"
	"time"
)

const (
	// leastRoom is how much room is made at least on a full disk, in bytes; on a small one,
	// as much as lies between the marks.
	leastRoom = 64 << 20
	// makingRoom bounds how long somebody waits for room.
	makingRoom = 30 * time.Second
	// exhaustedFor is for how long nobody looks again once there was not enough to evict.
	exhaustedFor = 10 * time.Second
)

// exhaustion is when there was not enough to evict for as many bytes; for 0, nothing.
type exhaustion struct {
	at    time.Time
	bytes int64
}

func (x exhaustion) covers(now time.Time, bytes int64) bool {
	return bytes >= x.bytes && now.Sub(x.at) < exhaustedFor
}

// MakeRoom evicts until as many bytes are free, and a little more, and tells whether it
// is worth writing again. When all that is cached would not be enough, nothing goes.
// Where as many are free already, the write that brought the caller here was refused for
// something that cannot be measured: a little is evicted then. MakeRoom returns within
// half a minute; those who come meanwhile wait for the same eviction.
func (e *Evictor) MakeRoom(ctx context.Context, bytes int64) bool {
	if e.Space == nil {
		return false
	}
	before, err := e.Space()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, makingRoom)
	defer cancel()
	worth := false
	err = e.exclusively(ctx, func(ctx context.Context) error {
		now, err := e.Space()
		if err != nil {
			return err
		}
		if now.Free > before.Free && now.Free >= bytes { // somebody else has made it meanwhile
			worth = true
			return nil
		}
		if e.exhausted.covers(e.Now(), bytes) {
			return nil
		}
		worth, err = e.makeRoom(ctx, bytes, now)
		return err
	})
	if err != nil && !errors.Is(err, errNoTurn) {
		e.Log.Warn("making room on a full disk", "error", err)
	}
	return worth
}

// Free tells how many bytes are free on the disk, where that is known.
func (e *Evictor) Free() (bytes int64, known bool) {
	if e.Space == nil {
		return 0, false
	}
	space, err := e.Space()
	return space.Free, err == nil
}

// makeRoom frees what is missing for as many bytes, where there is as much.
func (e *Evictor) makeRoom(ctx context.Context, bytes int64, now Space) (worth bool, err error) {
	least := min(leastRoom, (now.Used+now.Free)/100*(100-lowMark))
	wanted, needed := max(bytes, least)-now.Free, bytes-now.Free
	if needed <= 0 { // a quota is used up, or the file system can hold no more files
		wanted, needed = least, 0
	}
	cached, err := e.DB.Blobs.CachedSize(ctx)
	if err != nil {
		return false, err
	}
	if cached < needed {
		e.exhausted = exhaustion{e.Now(), needed}
		return false, nil
	}
	freed, err := e.evict(ctx, "the disk is full", e.Now().Add(time.Second), wanted)
	if freed == 0 && err == nil {
		e.exhausted = exhaustion{at: e.Now()}
	}
	return freed > 0, err
}

// full tells whether an error means that a disk, or somebody's share of it, is full.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
