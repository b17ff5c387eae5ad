package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/larder-registry/larder/internal/backup"
	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// moveDump and moveJournal are in the data folder while a registry is moved.
	moveDump    = "migrate.dump"
	moveJournal = "migrate.blobs"
)

// errNotWhole is why a registry is not moved.
var errNotWhole = errors.New("some blobs are not whole where they are, so nothing was changed: larder fsck sets them aside, and names what is affected; then migrate again")

// Migration is the move of a registry from one database or storage to others. Both
// configurations have the same data folder. Nothing is removed from the old ones.
type Migration struct {
	From, To Config
	// Quick trusts what was written, and does not read it back.
	Quick    bool
	Progress backup.Progress
}

// Migrated is what came of it.
type Migrated struct {
	Database, Storage bool // whether it was moved
	Moved             backup.Report
	ReadBack          backup.Report
	Rows              int64
}

// Migrate moves a registry that no server uses. What was broken off goes on when it is
// begun again.
func Migrate(ctx context.Context, m Migration) (_ Migrated, err error) {
	done := Migrated{Database: m.From.Database != m.To.Database, Storage: storageName(m.From) != storageName(m.To)}
	if !done.Database && !done.Storage {
		return Migrated{}, errors.New("there is nothing to move: the registry has its metadata and its blobs there already; say where to with --to-database, --to-database-file or --to-storage")
	}
	from, err := OpenStores(ctx, m.From)
	if err != nil {
		return Migrated{}, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := m.openTarget(ctx, from, done)
	if err != nil {
		return Migrated{}, err
	}
	if done.Database {
		defer func() { err = errors.Join(err, to.DB.Close()) }()
	}
	if err = m.move(ctx, from, to, &done); err == nil {
		err = to.takeOver(ctx)
	}
	return done, err
}

// openTarget opens the new stores, and takes the old one of what stays.
func (m Migration) openTarget(ctx context.Context, from *Stores, move Migrated) (*Stores, error) {
	to := *from
	var err error
	if move.Storage {
		if to.Blobs, err = from.openBlobs(ctx, m.To); err != nil {
			return nil, err
		}
	}
	if move.Database {
		if to.DB, err = from.openMetadata(ctx, m.To); err != nil {
			return nil, err
		}
		var empty bool
		if empty, err = to.DB.Empty(ctx); err == nil && !empty {
			err = fmt.Errorf("the new database: %w, and nothing was changed: empty it, or give another", metadata.ErrNotEmpty)
		}
	}
	if err == nil && move.Storage {
		err = to.claim(ctx)
	}
	if err == nil {
		return &to, nil
	}
	if move.Database {
		err = errors.Join(err, to.DB.Close())
	}
	return nil, err
}

func (m Migration) move(ctx context.Context, from, to *Stores, done *Migrated) (err error) {
	dump, err := backup.WriteDump(from.Data.Path(moveDump), func(w io.Writer) error {
		_, err := from.DB.Dump(ctx, w)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dump.Path)) }()
	for _, count := range dump.Summary.Rows {
		done.Rows += count
	}
	if !done.Storage {
		return backup.MoveMetadata(ctx, dump, from.DB, to.DB, nil)
	}
	journal, err := backup.OpenJournal(from.Data.Path(moveJournal), storageName(m.To))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	if err := m.moveBlobs(ctx, dump, from.Blobs, to.Blobs, journal, done); err != nil {
		return err
	}
	if done.Database {
		err = backup.MoveMetadata(ctx, dump, from.DB, to.DB, journal)
	} else if err = backup.Unchanged(ctx, dump, from.DB); err == nil {
		err = from.DB.Blobs.Rekey(ctx, journal.KeyOf)
	}
	if err != nil {
		return err
	}
	return journal.Remove()
}

func (m Migration) moveBlobs(ctx context.Context, dump *backup.Dump, from, to blob.Store, journal *backup.Journal, done *Migrated) (err error) {
	if done.Moved, err = backup.MoveBlobs(ctx, dump, from, to, journal, m.Progress); err != nil {
		return fmt.Errorf("%w; nothing was changed, and the next larder migrate goes on from here", err)
	}
	if len(done.Moved.Lost) > 0 {
		return errNotWhole
	}
	if m.Quick {
		return nil
	}
	if done.ReadBack, err = backup.ReadBack(ctx, dump, to, journal, m.Progress); err != nil {
		return err
	}
	if lost := len(done.ReadBack.Lost); lost > 0 {
		return fmt.Errorf("%d blobs are not in the new storage as they were written, so nothing was changed: see what is wrong with it, remove %s, and migrate again", lost, moveJournal)
	}
	return nil
}

// storageName tells one storage from another.
func storageName(config Config) string {
	if config.Storage == nil {
		return "files"
	}
	return config.Storage.Config.String() // how it is used makes no other of it
}
