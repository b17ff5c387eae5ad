package metadata

import (
	"context"
	"database/sql"
	"time"
)

// Group is a name for several users.
type Group struct {
	Name      string
	Creator   string
	CreatedAt time.Time
	Members   []string // read with Get only, ordered
}

// Groups keeps the groups that exist here, and who is in them. Those that an issuer
// claims for its users are with the users.
type Groups struct{ store *store }

// Create adds a group without members; ErrExists when there is one of that name.
func (gs *Groups) Create(ctx context.Context, g Group) error {
	changed, err := gs.store.change(ctx, `
		INSERT INTO user_groups (name, creator, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO NOTHING`, g.Name, g.Creator, stamp{g.CreatedAt})
	if err == nil && changed == 0 {
		err = ErrExists
	}
	if err != nil {
		return failed(err, "creating group %s", g.Name)
	}
	return nil
}

// Get finds a group and its members.
func (gs *Groups) Get(ctx context.Context, name string) (Group, error) {
	g, err := one(ctx, gs.store, scanGroup, "SELECT name, creator, created_at FROM user_groups WHERE name = $1", name)
	if err != nil {
		return Group{}, failed(err, "reading group %s", name)
	}
	g.Members, err = list(ctx, gs.store, scanOne[string], `
		SELECT user_name FROM group_members WHERE group_name = $1 ORDER BY user_name`, name)
	if err != nil {
		return Group{}, failed(err, "reading the members of group %s", name)
	}
	return g, nil
}

// List tells at most limit groups whose names sort after the one given, without their
// members.
func (gs *Groups) List(ctx context.Context, after string, limit int) ([]Group, error) {
	all, err := list(ctx, gs.store, scanGroup, `
		SELECT name, creator, created_at FROM user_groups WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
	if err != nil {
		return nil, failed(err, "listing groups")
	}
	return all, nil
}

// Delete removes a group; its members stay as users.
func (gs *Groups) Delete(ctx context.Context, name string) error {
	if err := oneChanged(gs.store.changeAnnounced(ctx, ofAccounts(), "DELETE FROM user_groups WHERE name = $1", name)); err != nil {
		return failed(err, "deleting group %s", name)
	}
	return nil
}

// AddMember puts a user into a group; who is in it already stays in it. ErrNotFound
// says that there is no such group or no such user.
func (gs *Groups) AddMember(ctx context.Context, group, user string) error {
	err := gs.store.update(ctx, func(tx *sql.Tx) error {
		var found string
		err := tx.QueryRowContext(ctx, `
			SELECT g.name FROM user_groups g JOIN users u ON u.name = $2 WHERE g.name = $1`, group, user).Scan(&found)
		if err != nil {
			return err
		}
		_, err = change(ctx, tx, `
			INSERT INTO group_members (group_name, user_name) VALUES ($1, $2) ON CONFLICT DO NOTHING`, group, user)
		if err != nil {
			return err
		}
		return gs.store.announce(ctx, tx, ofAccounts())
	})
	if err != nil {
		return failed(err, "adding user %s to group %s", user, group)
	}
	return nil
}

// RemoveMember takes a user out of a group; ErrNotFound when the user is not in it.
func (gs *Groups) RemoveMember(ctx context.Context, group, user string) error {
	err := oneChanged(gs.store.changeAnnounced(ctx, ofAccounts(), `
		DELETE FROM group_members WHERE group_name = $1 AND user_name = $2`, group, user))
	if err != nil {
		return failed(err, "removing user %s from group %s", user, group)
	}
	return nil
}

func scanGroup(r row) (Group, error) {
	var g Group
	err := r.Scan(&g.Name, &g.Creator, scanStamp{&g.CreatedAt})
	return g, err
}
