package metadata

import (
	"context"
	"time"
)

// User is somebody who logs in with a password kept here.
type User struct {
	Name         string
	PasswordHash string
	// Generation grows with each change of the password, so that what was issued
	// before it can be told apart.
	Generation int64
	CreatedAt  time.Time
	Disabled   bool
}

// Users keeps the users.
type Users struct{ store *store }

// Create adds a user; ErrExists when there is one of that name.
func (us *Users) Create(ctx context.Context, u User) error {
	changed, err := us.store.change(ctx, `
		INSERT INTO users (name, password_hash, generation, created_at, disabled) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name) DO NOTHING`,
		u.Name, u.PasswordHash, u.Generation, stamp{u.CreatedAt}, u.Disabled)
	if err == nil && changed == 0 {
		err = ErrExists
	}
	if err != nil {
		return failed(err, "creating user %s", u.Name)
	}
	return nil
}

// Get finds a user by name.
func (us *Users) Get(ctx context.Context, name string) (User, error) {
	u, err := one(ctx, us.store, scanUser, `
		SELECT name, password_hash, generation, created_at, disabled FROM users WHERE name = $1`, name)
	if err != nil {
		return User{}, failed(err, "reading user %s", name)
	}
	return u, nil
}

// SetPassword changes a user's password hash and adds one to the Generation.
func (us *Users) SetPassword(ctx context.Context, name, hash string) error {
	err := oneChanged(us.store.changeAnnounced(ctx, ofAccounts(), `
		UPDATE users SET password_hash = $2, generation = generation + 1 WHERE name = $1`, name, hash))
	if err != nil {
		return failed(err, "setting the password of user %s", name)
	}
	return nil
}

// Count tells how many users there are.
func (us *Users) Count(ctx context.Context) (int, error) {
	n, err := one(ctx, us.store, scanOne[int], "SELECT count(*) FROM users")
	if err != nil {
		return 0, failed(err, "counting users")
	}
	return n, nil
}

func scanUser(r row) (User, error) {
	var u User
	err := r.Scan(&u.Name, &u.PasswordHash, &u.Generation, scanStamp{&u.CreatedAt}, &u.Disabled)
	return u, err
}
