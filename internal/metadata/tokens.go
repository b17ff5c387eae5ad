package metadata

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"
)

// Token is an access token of a user. The token itself is not kept.
type Token struct {
	ID          string
	Hash        []byte
	User        string
	Name        string
	Description string
	// Scopes are what the token is limited to do, and Targets on what; both in the words
	// of package authn, and empty for no limit.
	Scopes, Targets []string
	CreatedAt       time.Time
	ExpiresAt       time.Time // zero: never
	UsedAt          time.Time // zero: never; it may lag by a minute
}

const tokenColumns = "id, hash, user_name, name, description, scopes, targets, created_at, expires_at, used_at"

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
			INSERT INTO tokens (`+tokenColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT DO NOTHING`,
			t.ID, t.Hash, t.User, t.Name, t.Description, strings.Join(t.Scopes, " "), words(t.Targets),
			stamp{t.CreatedAt}, stamp{t.ExpiresAt}, stamp{t.UsedAt})
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
	t, err := one(ctx, ts.store, scanToken, "SELECT "+tokenColumns+` FROM tokens WHERE hash = $1`, hash)
	if err != nil {
		return Token{}, failed(err, "reading a token by its hash")
	}
	return t, nil
}

// Get finds a token by its ID, expired or not.
func (ts *Tokens) Get(ctx context.Context, id string) (Token, error) {
	t, err := one(ctx, ts.store, scanToken, "SELECT "+tokenColumns+` FROM tokens WHERE id = $1`, id)
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

// Describe changes what is said of a token, not what it may do.
func (ts *Tokens) Describe(ctx context.Context, id, name, description string) error {
	err := oneChanged(ts.store.change(ctx, "UPDATE tokens SET name = $2, description = $3 WHERE id = $1", id, name, description))
	if err != nil {
		return failed(err, "describing token %s", id)
	}
	return nil
}

// Used remembers that tokens were used, by their IDs. A time only ever goes forward,
// and a token that is gone is forgotten.
func (ts *Tokens) Used(ctx context.Context, at map[string]time.Time) error {
	err := ts.store.update(ctx, func(tx *sql.Tx) error {
		// In one order everywhere, or replicas would wait for each other's rows.
		for _, id := range slices.Sorted(maps.Keys(at)) {
			if _, err := change(ctx, tx, `
				UPDATE tokens SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $2)`, id, stamp{at[id]}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return failed(err, "remembering the use of %d tokens", len(at))
	}
	return nil
}

// List tells all tokens of a user, ordered by ID.
func (ts *Tokens) List(ctx context.Context, user string) ([]Token, error) {
	all, err := list(ctx, ts.store, scanToken, "SELECT "+tokenColumns+` FROM tokens WHERE user_name = $1 ORDER BY id`, user)
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
	var (
		t      Token
		scopes string
	)
	err := r.Scan(&t.ID, &t.Hash, &t.User, &t.Name, &t.Description, &scopes, scanWords{&t.Targets},
		scanStamp{&t.CreatedAt}, scanStamp{&t.ExpiresAt}, scanStamp{&t.UsedAt})
	if scopes != "" {
		t.Scopes = strings.Fields(scopes)
	}
	return t, err
}
