package metadata

import (
	"context"
	"database/sql"
	"time"
)

// Token is an access token of a user. The token itself is not kept.
type Token struct {
	ID          string
	Hash        []byte
	User        string
	Description string
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: never
}

// Tokens keeps the access tokens.
type Tokens struct{ store *store }

// Create adds a token. ErrNotFound says that there is no such user, ErrExists that
// there is a token with this ID or hash.
func (ts *Tokens) Create(ctx context.Context, t Token) error {
	err := ts.store.update(ctx, func(tx *sql.Tx) error {
		var user string
		if err := tx.QueryRowContext(ctx, "SELECT name FROM users WHERE name = $1", t.User).Scan(&user); err != nil {
			return failed(err, "finding user %s", t.User)
		}
		changed, err := change(ctx, tx, `
			INSERT INTO tokens (id, hash, user_name, description, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT DO NOTHING`,
			t.ID, t.Hash, t.User, t.Description, stamp{t.CreatedAt}, stamp{t.ExpiresAt})
		if err == nil && changed == 0 {
			err = ErrExists
		}
		return err
	})
	if err != nil {
		return failed(err, "creating token %s", t.ID)
	}
	return nil
}

// ByHash finds a token by its hash, expired or not.
func (ts *Tokens) ByHash(ctx context.Context, hash []byte) (Token, error) {
	t, err := one(ctx, ts.store, scanToken, `
		SELECT id, hash, user_name, description, created_at, expires_at FROM tokens WHERE hash = $1`, hash)
	if err != nil {
		return Token{}, failed(err, "reading a token by its hash")
	}
	return t, nil
}

// Get finds a token by its ID, expired or not.
func (ts *Tokens) Get(ctx context.Context, id string) (Token, error) {
	t, err := one(ctx, ts.store, scanToken, `
		SELECT id, hash, user_name, description, created_at, expires_at FROM tokens WHERE id = $1`, id)
	if err != nil {
		return Token{}, failed(err, "reading token %s", id)
	}
	return t, nil
}

// Delete removes a token; ErrNotFound when there is none with that ID.
func (ts *Tokens) Delete(ctx context.Context, id string) error {
	if err := oneChanged(ts.store.changeAnnounced(ctx, ofAccounts(), "DELETE FROM tokens WHERE id = $1", id)); err != nil {
		return failed(err, "deleting token %s", id)
	}
	return nil
}

// List tells all tokens of a user, ordered by ID.
func (ts *Tokens) List(ctx context.Context, user string) ([]Token, error) {
	all, err := list(ctx, ts.store, scanToken, `
		SELECT id, hash, user_name, description, created_at, expires_at FROM tokens WHERE user_name = $1 ORDER BY id`, user)
	if err != nil {
		return nil, failed(err, "listing the tokens of user %s", user)
	}
	return all, nil
}

// DeleteExpired removes the tokens that expired before a time.
func (ts *Tokens) DeleteExpired(ctx context.Context, before time.Time) error {
	if _, err := ts.store.change(ctx, "DELETE FROM tokens WHERE expires_at < $1", stamp{before}); err != nil {
		return failed(err, "deleting expired tokens")
	}
	return nil
}

func scanToken(r row) (Token, error) {
	var t Token
	err := r.Scan(&t.ID, &t.Hash, &t.User, &t.Description, scanStamp{&t.CreatedAt}, scanStamp{&t.ExpiresAt})
	return t, err
}
