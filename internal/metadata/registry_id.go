package metadata

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
)

// idTable holds what tells a database from every other one. It is neither dumped nor
// emptied.
const idTable = "registry_id"

// ID tells this database from every other one, in 26 letters and digits that are made
// when it is first asked for. A database that is filled from a dump has another one.
func (db *DB) ID(ctx context.Context) (string, error) {
	const query = "SELECT id FROM " + idTable
	id, err := one(ctx, db.store, scanOne[string], query)
	if errors.Is(err, sql.ErrNoRows) {
		// Another process may do the same: the first has made it.
		_, err = db.store.change(ctx, "INSERT INTO "+idTable+" (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING", rand.Text())
		if err == nil {
			id, err = one(ctx, db.store, scanOne[string], query)
		}
	}
	if err != nil {
		return "", failed(err, "reading the registry's id")
	}
	return id, nil
}
