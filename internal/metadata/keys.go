package metadata

import (
	"context"
	"time"
)

// SigningKey signs registry tokens.
type SigningKey struct {
	ID        string
	Secret    []byte
	CreatedAt time.Time
}

// Keys keeps the signing keys.
type Keys struct{ store *store }

// Add keeps a signing key; ErrExists when there is one with that ID.
func (ks *Keys) Add(ctx context.Context, k SigningKey) error {
	changed, err := ks.store.changeAnnounced(ctx, ofAccounts(), `
		INSERT INTO signing_keys (id, secret, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO NOTHING`, k.ID, k.Secret, stamp{k.CreatedAt})
	if err == nil && changed == 0 {
		err = ErrExists
	}
	if err != nil {
		return failed(err, "adding signing key %s", k.ID)
	}
	return nil
}

// All tells the signing keys, the newest first.
func (ks *Keys) All(ctx context.Context) ([]SigningKey, error) {
	all, err := list(ctx, ks.store, scanSigningKey, `
		SELECT id, secret, created_at FROM signing_keys ORDER BY created_at DESC, id DESC`)
	if err != nil {
		return nil, failed(err, "reading the signing keys")
	}
	return all, nil
}

func scanSigningKey(r row) (SigningKey, error) {
	var k SigningKey
	err := r.Scan(&k.ID, &k.Secret, scanStamp{&k.CreatedAt})
	return k, err
}
