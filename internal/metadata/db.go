package metadata

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

// DB is an open database. Its fields may be used by any number of goroutines.
type DB struct {
	Projects      *Projects
	Repositories  *Repositories
	Manifests     *Manifests
	Tags          *Tags
	Blobs         *Blobs
	Orphans       *Orphans
	Damaged       *Damaged
	Uploads       *Uploads
	Multiparts    *Multiparts
	Imports       *Imports
	Stars         *Stars
	Users         *Users
	Groups        *Groups
	Tokens        *Tokens
	Keys          *Keys
	Credentials   *Credentials
	Roles         *Roles
	RoleBindings  *RoleBindings
	Audit         *Audit
	Leases        *Leases
	Ledger        *Ledger
	Failures      *Failures
	Retentions    *Retentions
	Pins          *Pins
	LimitCounters *LimitCounters
	Webhooks      *Webhooks
	Hints         *Hints
	// Changes tells what has to be read again because another process changed it.
	Changes *Changes

	store  *store
	watch  func(ctx context.Context, hint func(string), log *slog.Logger) // nil where there is one process
	closes []io.Closer
}

// newDB prepares the hot queries of a database that has been migrated. The caller
// closes the store when it fails.
func newDB(ctx context.Context, s *store) (*DB, error) {
	manifests, err := newManifests(ctx, s)
	if err != nil {
		return nil, err
	}
	blobs, err := newBlobs(ctx, s)
	if err != nil {
		return nil, err
	}
	return &DB{
		Projects:      &Projects{s},
		Repositories:  &Repositories{s},
		Manifests:     manifests,
		Tags:          &Tags{s},
		Blobs:         blobs,
		Orphans:       &Orphans{s},
		Damaged:       &Damaged{s},
		Uploads:       &Uploads{s},
		Multiparts:    &Multiparts{s},
		Imports:       &Imports{s},
		Stars:         &Stars{s},
		Users:         &Users{s},
		Groups:        &Groups{s},
		Tokens:        &Tokens{s},
		Keys:          &Keys{s},
		Credentials:   &Credentials{s},
		Roles:         &Roles{s},
		RoleBindings:  &RoleBindings{s},
		Audit:         &Audit{s},
		Leases:        &Leases{s},
		Ledger:        &Ledger{s},
		Failures:      &Failures{s},
		Retentions:    &Retentions{s},
		Pins:          &Pins{s},
		LimitCounters: &LimitCounters{s},
		Webhooks:      &Webhooks{s},
		Hints:         &Hints{s},
		Changes:       s.changes,
		store:         s,
		// The writer goes last: the last connection to go tidies the log away.
		closes: []io.Closer{manifests.get, manifests.getByTag, blobs.get, s.readers, s.writer},
	}, nil
}

// Watch hears what other processes change, and counts it in Changes, until ctx ends. It
// holds a connection of its own and replaces one that was lost, of which the log is
// told. hint is given their hints, one after the other, and must not wait for anything; nil:
// they are not heard. With SQLite there is nobody to hear, and it returns at once.
func (db *DB) Watch(ctx context.Context, hint func(string), log *slog.Logger) {
	if db.watch != nil {
		db.watch(ctx, hint, log)
	}
}

// Shared tells whether other processes may have the database open.
func (db *DB) Shared() bool { return db.watch != nil }

// Ping reads from the database.
func (db *DB) Ping(ctx context.Context) error {
	// Not with patience: whoever pings wants to know how it is now.
	if _, err := scanOne[bool](db.store.readers.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM repositories)")); err != nil {
		return failed(err, "reading the metadata")
	}
	return nil
}

// Close waits for running queries and closes the database. It may be called again.
func (db *DB) Close() error {
	var all error
	for _, c := range db.closes {
		all = errors.Join(all, c.Close())
	}
	if all != nil {
		return failed(all, "closing the metadata")
	}
	return nil
}
