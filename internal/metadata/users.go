package metadata

import (
	"context"
	"database/sql"
	"time"
)

// User is an account: somebody who logs in with a password kept here or at an issuer
// of identities, or a service account.
type User struct {
	Name         string
	PasswordHash string // "" for an account without a password
	// Generation grows with each change of the password, so that what was issued
	// before it can be told apart.
	Generation int64
	CreatedAt  time.Time
	Disabled   bool
	// Project is a service account's, "" for people.
	Project string
	// Issuer is where the account logs in, and Subject its name there; both are "" for
	// accounts that exist here alone.
	Issuer, Subject string
	// Groups are those that the user is a member of here, ordered. They are read with Get
	// and BySubject, and not written with the user; so are those that follow.
	Groups []string
	// Claimed are the groups that the issuer told of the user, ordered, which hold until
	// ClaimedUntil.
	Claimed      []string
	ClaimedUntil time.Time
}

// GroupsAt are all groups that the user is in at a time, each once and ordered.
func (u User) GroupsAt(now time.Time) []string {
	if len(u.Claimed) == 0 || !now.Before(u.ClaimedUntil) {
		return u.Groups
	}
	return union(u.Groups, u.Claimed)
}

// Users keeps the accounts.
type Users struct{ store *store }

const userColumns = "name, password_hash, generation, created_at, disabled, project, issuer, subject"

// Create adds an account. ErrExists says that there is one of that name, or one with
// that subject at that issuer, and ErrNotFound that its project does not exist.
func (us *Users) Create(ctx context.Context, u User) error {
	err := us.store.update(ctx, func(tx *sql.Tx) error {
		if u.Project != "" {
			if err := requireProject(ctx, tx, u.Project); err != nil {
				return err
			}
		}
		changed, err := change(ctx, tx, `
			INSERT INTO users (`+userColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT DO NOTHING`,
			u.Name, u.PasswordHash, u.Generation, stamp{u.CreatedAt}, u.Disabled, sql.Null[string]{V: u.Project, Valid: u.Project != ""}, u.Issuer, u.Subject)
		if err == nil && changed == 0 {
			err = ErrExists
		}
		return err
	})
	if err != nil {
		return failed(err, "creating user %s", u.Name)
	}
	return nil
}

// Get finds an account by name.
func (us *Users) Get(ctx context.Context, name string) (User, error) {
	return us.get(ctx, "name = $1", name)
}

// BySubject finds the account that an issuer knows by a name of its own.
func (us *Users) BySubject(ctx context.Context, issuer, subject string) (User, error) {
	return us.get(ctx, "issuer = $1 AND subject = $2", issuer, subject)
}

func (us *Users) get(ctx context.Context, where string, args ...any) (User, error) {
	var (
		claimed []string
		until   time.Time
	)
	u, err := one(ctx, us.store, func(r row) (User, error) { return scanUser(r, scanWords{&claimed}, scanStamp{&until}) },
		"SELECT "+userColumns+", claimed_groups, claimed_until FROM users WHERE "+where, args...)
	if err != nil {
		return User{}, failed(err, "reading user %s", args[len(args)-1])
	}
	u.Groups, err = list(ctx, us.store, scanOne[string], "SELECT group_name FROM group_members WHERE user_name = $1 ORDER BY group_name", u.Name)
	if err != nil {
		return User{}, failed(err, "reading the groups of user %s", u.Name)
	}
	u.Claimed, u.ClaimedUntil = claimed, until
	return u, nil
}

// List tells at most limit accounts whose names sort after the one given, without their
// groups: people, or the service accounts of a project where one is named.
func (us *Users) List(ctx context.Context, project, after string, limit int) ([]User, error) {
	all, err := list(ctx, us.store, func(r row) (User, error) { return scanUser(r) }, `
		SELECT `+userColumns+` FROM users
		WHERE coalesce(project, '') = $1 AND name > $2 ORDER BY name LIMIT $3`, project, after, limit)
	if err != nil {
		return nil, failed(err, "listing users")
	}
	return all, nil
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

// SetDisabled locks an account out, or lets it in again.
func (us *Users) SetDisabled(ctx context.Context, name string, disabled bool) error {
	err := oneChanged(us.store.changeAnnounced(ctx, ofAccounts(), "UPDATE users SET disabled = $2 WHERE name = $1", name, disabled))
	if err != nil {
		return failed(err, "disabling or enabling user %s", name)
	}
	return nil
}

// ClaimGroups remembers the groups that the account's issuer tells of it, in place of
// those that it told before, and until when they hold.
func (us *Users) ClaimGroups(ctx context.Context, name string, groups []string, until time.Time) error {
	err := oneChanged(us.store.changeAnnounced(ctx, ofAccounts(), `
		UPDATE users SET claimed_groups = $2, claimed_until = $3 WHERE name = $1`, name, words(union(groups, nil)), stamp{until}))
	if err != nil {
		return failed(err, "remembering the groups of user %s", name)
	}
	return nil
}

// Delete removes an account, its access tokens and its memberships.
func (us *Users) Delete(ctx context.Context, name string) error {
	err := us.store.update(ctx, func(tx *sql.Tx) error {
		if err := oneChanged(change(ctx, tx, "DELETE FROM users WHERE name = $1", name)); err != nil {
			return err
		}
		if _, err := change(ctx, tx, "DELETE FROM stars WHERE user_name = $1", name); err != nil {
			return err
		}
		return us.store.announce(ctx, tx, ofAccounts())
	})
	if err != nil {
		return failed(err, "deleting user %s", name)
	}
	return nil
}

// Count tells how many accounts there are.
func (us *Users) Count(ctx context.Context) (int, error) {
	n, err := one(ctx, us.store, scanOne[int], "SELECT count(*) FROM users")
	if err != nil {
		return 0, failed(err, "counting users")
	}
	return n, nil
}

// scanUser reads userColumns, and more columns after them.
func scanUser(r row, more ...any) (User, error) {
	var (
		u       User
		project sql.Null[string]
	)
	err := r.Scan(append([]any{
		&u.Name, &u.PasswordHash, &u.Generation, scanStamp{&u.CreatedAt}, &u.Disabled, &project, &u.Issuer, &u.Subject,
	}, more...)...)
	u.Project = project.V
	return u, err
}
