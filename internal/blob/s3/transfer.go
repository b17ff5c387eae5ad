package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// transfer is what an upload and a spool have in common: bytes on their way into
// a blob, hashed as they come.
type transfer struct {
	store *Store
	// ctx ends the parts that go up between calls. Write has no context of its own.
	ctx       context.Context
	algorithm digest.Algorithm
	hash      hash.Hash // nil when its saved state could not be read
	size      int64     // bytes written
	cut       int       // parts that were cut off from the rest, sent or not
	parts     multipart
	queue     queue
	// tails are the keys of objects that go with the transfer's end.
	tails []string
	// tried is the key of a blob that may be there though its commit has failed.
	tried string
	// shared is true when others may go on with the same parts: they have resumed the
	// upload from the same state.
	shared bool
	// settled is true once the transfer was saved, committed or dropped.
	settled bool
}

func newTransfer(ctx context.Context, s *Store, alg digest.Algorithm) *transfer {
	t := &transfer{store: s, ctx: ctx, algorithm: alg, hash: alg.Hash(), parts: multipart{store: s}}
	t.queue.multipart = &t.parts
	return t
}

// count takes in what was written.
func (t *transfer) count(p []byte) {
	if t.hash != nil {
		_, _ = t.hash.Write(p) // a hash never fails
	}
	t.size += int64(len(p))
}

// hand lets a piece go up as a part meanwhile.
func (t *transfer) hand(p piece) {
	t.cut++
	t.queue.add(t.ctx, p)
}

// running is the digest that was computed as the bytes came, empty when it is not
// of that algorithm.
func (t *transfer) running(alg digest.Algorithm) digest.Digest {
	if t.hash == nil || alg != t.algorithm {
		return ""
	}
	return digest.NewDigest(alg, t.hash)
}

// commit makes the parts and the rest the blob. An empty digest got says that it
// cannot be told from here: S3 then reads the bytes back before anyone is given
// the key. It does so, too, where the blob may be another's.
func (t *transfer) commit(ctx context.Context, want, got digest.Digest, rest piece) (string, error) {
	if got != "" && got != want {
		return "", errors.Join(&blob.MismatchError{Want: want, Got: got}, t.drop(ctx))
	}
	key, certain, err := t.keep(ctx, rest)
	if err == nil && (got == "" || !certain) {
		got, err = t.readBack(ctx, key, want.Algorithm())
	}
	if err == nil && got != want && !certain {
		err = fmt.Errorf("another has made its parts a blob with digest %s: %w", got, blob.ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("committing blob %s: %w", want, err)
	}
	if got != want {
		t.shared = false // nobody can have been given the key of what these bytes have become
		return "", errors.Join(&blob.MismatchError{Want: want, Got: got}, t.drop(ctx))
	}
	t.settled = true
	_ = t.removeTails(ctx) // the blob is kept, and a tail without its upload does no harm
	return key, nil
}

// keep makes the blob with one request when all of it is in the rest. It is certain
// when nothing but the bytes of this transfer can be under the key.
func (t *transfer) keep(ctx context.Context, rest piece) (key string, certain bool, err error) {
	if err := t.queue.flush(ctx); err != nil {
		return "", false, err
	}
	if t.parts.id == "" {
		// A name of its own, so that an upload which goes on from an old state can
		// never replace a blob.
		if t.tried == "" {
			t.tried = rand.Text()
		}
		return t.tried, true, t.store.put(ctx, t.store.blobs+t.tried, rest)
	}
	whole := t.parts
	if rest.size > 0 {
		if err := whole.send(ctx, rest); err != nil {
			return "", false, err
		}
	}
	// When this fails, the rest stays one: a part that is not the last may not be
	// as small.
	t.tried = t.parts.key
	certain, err = whole.complete(ctx, t.shared)
	return t.tried, certain, err
}

func (t *transfer) readBack(ctx context.Context, key string, alg digest.Algorithm) (digest.Digest, error) {
	o, err := t.store.object(ctx, t.store.blobs+key)
	if err != nil {
		return "", err
	}
	defer func() { _ = o.Close() }()
	return digestOf(ctx, alg, o, t.size)
}

// drop removes all that the transfer has left in S3, also after the end of ctx.
func (t *transfer) drop(ctx context.Context) error {
	if t.settled {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	t.queue.stop()
	if err := t.parts.abort(ctx); err != nil {
		return err
	}
	if err := t.removeTried(ctx); err != nil {
		return err
	}
	// The tails last: they are what makes the state that was saved usable.
	if err := t.removeTails(ctx); err != nil {
		return err
	}
	t.settled = true
	return nil
}

// removeTried removes the blob of a commit that has failed. One of parts that are shared
// may be another's, whose commit did not fail; a collector finds it when it is not.
func (t *transfer) removeTried(ctx context.Context) error {
	if t.tried == "" || t.shared && t.tried == t.parts.key {
		return nil
	}
	if err := t.store.remove(ctx, t.store.blobs+t.tried); err != nil {
		return fmt.Errorf("removing a blob that was not committed: %w", err)
	}
	return nil
}

// removeTails removes the tails, and remembers those that it could not.
func (t *transfer) removeTails(ctx context.Context) error {
	var left []string
	var failed error
	for _, tail := range t.tails {
		if err := t.store.remove(ctx, t.store.uploads+tail); err != nil {
			left, failed = append(left, tail), errors.Join(failed, err)
		}
	}
	t.tails = left
	if failed != nil {
		return fmt.Errorf("removing the tail of an upload: %w", failed)
	}
	return nil
}
