package authn

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// signingKey is the length of a signing key in bytes, that of HS256's hash
	// (RFC 7518, §3.2).
	signingKey = 32
	// ringReload bounds how often an unknown key id makes the keys be read again:
	// strangers can send any.
	ringReload = time.Second
)

// keyRing holds the signing keys in memory. The newest signs, all of them verify.
type keyRing struct {
	store  Keys
	now    func() time.Time
	others func() metadata.Mark

	mu     sync.Mutex
	keys   []metadata.SigningKey // newest first
	readAt time.Time
	readAs metadata.Mark // tells when another process may have added a key
}

func newKeyRing(store Keys, now func() time.Time, others func() metadata.Mark) *keyRing {
	return &keyRing{store: store, now: now, others: others}
}

// newest returns the key to sign with, and makes the first one.
func (r *keyRing) newest(ctx context.Context) (metadata.SigningKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.keys) == 0 {
		if err := r.read(ctx); err != nil {
			return metadata.SigningKey{}, err
		}
	}
	if len(r.keys) == 0 {
		key := metadata.SigningKey{ID: randomString(base62, tokenID), Secret: randomBytes(signingKey), CreatedAt: r.now().UTC()}
		if err := r.store.Add(ctx, key); err != nil {
			return metadata.SigningKey{}, fmt.Errorf("keeping the first signing key: %w", err)
		}
		r.keys = []metadata.SigningKey{key}
	}
	return r.keys[0], nil
}

// find returns the secret of the key with the given id. The error is
// ErrTokenInvalid when there is none.
func (r *keyRing) find(ctx context.Context, id string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if secret := r.held(id); secret != nil {
		return secret, nil
	}
	if fresh(r.readAt, r.now(), ringReload) && r.readAs == r.others() {
		return nil, ErrTokenInvalid
	}
	if err := r.read(ctx); err != nil {
		return nil, err
	}
	if secret := r.held(id); secret != nil {
		return secret, nil
	}
	return nil, ErrTokenInvalid
}

func (r *keyRing) held(id string) []byte {
	for _, k := range r.keys {
		if k.ID == id {
			return k.Secret
		}
	}
	return nil
}

// read is called with the lock held, so that one reader asks for all.
func (r *keyRing) read(ctx context.Context) error {
	mark := r.others()
	keys, err := r.store.All(ctx)
	if err != nil {
		return fmt.Errorf("reading the signing keys: %w", err)
	}
	r.keys, r.readAt, r.readAs = keys, r.now(), mark
	return nil
}
