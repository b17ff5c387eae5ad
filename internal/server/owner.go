package server

import (
	"context"
	"fmt"

	"github.com/larder-registry/larder/internal/gc"
)

// shared is storage that other databases may reach too, and that says whose it is.
type shared interface {
	// Claim makes it the database's unless it is another's, and tells whose it is then.
	Claim(ctx context.Context, id string) (owner string, err error)
	// TakeOver makes it the database's, whoever has it.
	TakeOver(ctx context.Context, id string) error
}

// foreignStorageError says that the storage is another database's.
type foreignStorageError struct{ ours, owner string }

func (e *foreignStorageError) Error() string {
	return fmt.Sprintf("the bucket and prefix of storage belong to the database with the id %.64q, and this one has the id %s: two databases on one prefix would delete each other's blobs. "+
		"Give this one a prefix of its own. Or, if the other is used no more, restore with larder restore --take-over, or remove the object named owner under the prefix", e.owner, e.ours)
}

// Unwrap says so to who is about to remove something.
func (*foreignStorageError) Unwrap() error { return gc.ErrForeign }

// claim makes the storage the database's own. The error is a *foreignStorageError where
// it is another's. Storage that nobody else can reach needs no claim.
func (s *Stores) claim(ctx context.Context) error {
	storage, ok := s.Blobs.(shared)
	if !ok {
		return nil
	}
	id, err := s.DB.ID(ctx)
	if err != nil {
		return err
	}
	owner, err := storage.Claim(ctx, id)
	if err == nil && owner != id {
		err = &foreignStorageError{ours: id, owner: owner}
	}
	return err
}

// takeOver makes the storage the database's own, whoever has it.
func (s *Stores) takeOver(ctx context.Context) error {
	storage, ok := s.Blobs.(shared)
	if !ok {
		return nil
	}
	id, err := s.DB.ID(ctx)
	if err != nil {
		return err
	}
	return storage.TakeOver(ctx, id)
}
