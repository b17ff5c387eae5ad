package s3

import (
	"context"
	"crypto/rand"
	"encoding"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// upload is a blob.Upload. What was written is in parts that S3 has, in at most
// one part that is going up, and in the rest.
type upload struct {
	*transfer
	rest *local // nil when empty
}

// Size is the number of bytes written so far.
func (u *upload) Size() int64 { return u.size }

// Write appends. It waits while two parts are on their way; what was written
// despite an error counts.
func (u *upload) Write(p []byte) (written int, err error) {
	if u.settled {
		return 0, fmt.Errorf("writing to an upload after its end: %w", fs.ErrClosed)
	}
	for len(p) > 0 {
		room, err := u.room()
		if err != nil {
			return written, err
		}
		n, err := u.rest.Write(p[:min(int64(len(p)), room)])
		u.count(p[:n])
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

// room makes the rest one that can be written to, and tells how much.
func (u *upload) room() (int64, error) {
	if u.rest != nil && u.rest.size >= partSize(u.store.partSize, u.cut) {
		if err := u.queue.wait(u.ctx); err != nil {
			return 0, err
		}
		u.hand(u.rest.piece())
		u.rest = nil
	}
	if u.rest == nil {
		rest, err := u.store.local()
		if err != nil {
			return 0, err
		}
		u.rest = rest
	}
	return partSize(u.store.partSize, u.cut) - u.rest.size, nil
}

// Save sends everything: the rest as an object of its own, its tail, when it is
// too small for a part. The tail that was saved before stays until somebody
// resumes from the new state, since that may never come to be kept.
func (u *upload) Save(ctx context.Context) ([]byte, error) {
	if u.settled {
		return nil, fmt.Errorf("saving an upload after its end: %w", fs.ErrClosed)
	}
	state, err := u.save(ctx)
	if err != nil {
		return nil, fmt.Errorf("saving an upload: %w", err)
	}
	u.settled = true
	u.rest.close()
	u.shared = true        // by all who resume from this state
	_ = u.removeTried(ctx) // no commit has returned its key, and a collector finds it
	return state, nil
}

func (u *upload) save(ctx context.Context) ([]byte, error) {
	if err := u.queue.flush(ctx); err != nil {
		return nil, err
	}
	if u.rest != nil && u.rest.size >= leastSize(u.cut) {
		if err := u.parts.send(ctx, u.rest.piece()); err != nil {
			return nil, err
		}
		u.cut++
		u.rest.close()
		u.rest = nil
	}
	tail := rand.Text()
	if err := u.store.put(ctx, u.store.uploads+tail, u.rest.piece()); err != nil {
		return nil, fmt.Errorf("keeping the last %d bytes: %w", u.rest.piece().size, err)
	}
	state := uploadState{
		Offset: u.size, Algorithm: u.algorithm, Tail: tail, Stale: u.tails,
		Key: u.parts.key, UploadID: u.parts.id, Parts: u.parts.etags, PartBytes: u.parts.size,
	}
	if running, ok := u.hash.(encoding.BinaryMarshaler); ok {
		var err error
		if state.Hash, err = running.MarshalBinary(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(state)
}

// Commit verifies the bytes and makes them the blob.
func (u *upload) Commit(ctx context.Context, want digest.Digest) (string, error) {
	if u.settled {
		return "", fmt.Errorf("committing an upload after its end: %w", fs.ErrClosed)
	}
	if err := blob.CheckDigest(want); err != nil {
		return "", fmt.Errorf("committing a blob: %w", err)
	}
	rest := u.rest.piece()
	got := u.running(want.Algorithm())
	if got == "" && u.cut == 0 {
		var err error
		if got, err = digestOf(ctx, want.Algorithm(), rest.body(), rest.size); err != nil {
			return "", fmt.Errorf("committing blob %s: %w", want, err)
		}
	}
	key, err := u.commit(ctx, want, got, rest)
	if u.settled {
		u.rest.close()
	}
	return key, err
}

// Cancel drops the parts and the tail.
func (u *upload) Cancel(ctx context.Context) error {
	if u.settled {
		return nil
	}
	if err := u.drop(ctx); err != nil {
		return fmt.Errorf("canceling an upload: %w", err)
	}
	u.rest.close()
	return nil
}
