package metadata

import (
	"context"
	"errors"
	"io"
)

// DB is an open database. Its fields may be used by any number of goroutines.
type DB struct {
	Projects     *Projects
	Repositories *Repositories
	Manifests    *Manifests
	Tags         *Tags
	Blobs        *Blobs
	Uploads      *Uploads
	Multiparts   *Multiparts
	Users        *Users
	Tokens       *Tokens
	Keys         *Keys
	Leases       *Leases

	store  *store
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
		Projects:     &Projects{s},
		Repositories: &Repositories{s},
		Manifests:    manifests,
		Tags:         &Tags{s},
		Blobs:        blobs,
		Uploads:      &Uploads{s},
		Multiparts:   &Multiparts{s},
		Users:        &Users{s},
		Tokens:       &Tokens{s},
		Keys:         &Keys{s},
		Leases:       &Leases{s},
		store:        s,
		// The writer goes last: the last connection to go tidies the log away.
		closes: []io.Closer{manifests.get, manifests.getByTag, blobs.get, s.readers, s.writer},
	}, nil
}

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
