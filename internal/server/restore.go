package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/larder-registry/larder/internal/backup"
)

// Restored is what came of a restore.
type Restored struct {
	backup.Report
	Affected []backup.Affected // by what was lost
}

// Restore fills the empty data folder, database and storage that the configuration
// names with a dump and the blobs of an archive. Without an archive the blobs are in
// the storage already. With takeOver that may be another database's, which is the end of
// that one's.
func Restore(ctx context.Context, config Config, dump *backup.Dump, from backup.Archive, takeOver bool, progress backup.Progress) (_ Restored, err error) {
	if err := checkEmpty(config); err != nil {
		return Restored{}, err
	}
	open := OpenStores
	if takeOver {
		open = openUnclaimed
	}
	s, err := open(ctx, config)
	if err != nil {
		return Restored{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var r Restored
	if r.Report, err = backup.Restore(ctx, dump, from, s.DB, s.Blobs, progress); err != nil {
		return r, fmt.Errorf("restoring: %w", err)
	}
	if takeOver {
		if err := s.takeOver(ctx); err != nil {
			return r, err
		}
	}
	r.Affected, err = backup.FindAffected(ctx, s.DB, r.Lost)
	return r, err
}

// checkEmpty keeps what is there from being mixed with what is restored. Whether a
// database is empty is found out by whoever opens it.
func checkEmpty(config Config) error {
	if config.Database == "" {
		name := filepath.Join(config.Data, metadataFile)
		if info, err := os.Stat(name); err == nil && info.Size() > 0 {
			return fmt.Errorf("there is a registry in %s already, and nothing was changed: give an empty or a new folder with --data DIR", config.Data)
		}
	}
	if config.Storage != nil {
		return nil
	}
	stored, err := holdsFiles(filepath.Join(config.Data, blobFolder))
	if err == nil && stored {
		err = fmt.Errorf("the folder %s holds blobs already, and nothing was changed: give an empty or a new folder with --data DIR; to use those blobs, give this one with --blobs", config.Data)
	}
	return err
}
