package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/s3"
	"github.com/larder-registry/larder/internal/metadata"
)

// Stores are where a registry keeps everything: a data folder, held by this process
// alone, the metadata, and the blobs. Commands that work on a stopped server open them
// too.
type Stores struct {
	Data  *Data
	DB    *metadata.DB
	Blobs blob.Store
}

// OpenStores opens what the configuration names, and brings the metadata's schema up
// to date. Storage that is shared has to be the database's own, or nobody's. Close closes
// it.
func OpenStores(ctx context.Context, config Config) (*Stores, error) {
	s, err := openUnclaimed(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := s.claim(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openUnclaimed is OpenStores whosever the storage is.
func openUnclaimed(ctx context.Context, config Config) (*Stores, error) {
	s, err := OpenMetadata(ctx, config)
	if err != nil {
		return nil, err
	}
	if s.Blobs, err = s.openBlobs(ctx, config); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenMetadata is OpenStores for what needs no blobs: Blobs is nil.
func OpenMetadata(ctx context.Context, config Config) (*Stores, error) {
	check := checkMetadata
	if config.Database != "" {
		check = func(string) error { return nil } // it is no concern of the folder's
	}
	data, err := openFolder(config.Data, check)
	if err != nil {
		return nil, err
	}
	s := &Stores{Data: data}
	if s.DB, err = s.openMetadata(ctx, config); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// CheckData returns an error where the data folder would have to be made first, since
// then the configuration is that of no server, or of another.
func CheckData(config Config) error {
	name := metadataFile
	if config.Database != "" {
		name = markerFile
	}
	_, err := os.Stat(filepath.Join(config.Data, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no Larder data: give the server's data folder with --data DIR, or its configuration file with --config FILE", config.Data)
	}
	return err
}

func (s *Stores) openMetadata(ctx context.Context, config Config) (*metadata.DB, error) {
	if config.Database != "" {
		return metadata.OpenPostgres(ctx, string(config.Database), s.Data.Path())
	}
	return metadata.Open(ctx, s.Data.Path(metadataFile))
}

func (s *Stores) openBlobs(ctx context.Context, config Config) (blob.Store, error) {
	if config.Storage == nil {
		return blob.OpenFiles(s.Data.Path())
	}
	storage := config.Storage.Config
	storage.SpoolDir = s.Data.Path(spoolFolder)
	storage.Records = s.DB.Multiparts
	store, err := s3.Open(ctx, storage)
	if err != nil {
		return nil, fmt.Errorf("%w; see that the address in storage and the keys in %s and %s are right", err, accessKeyVariable, secretKeyVariable)
	}
	return store, nil
}

// Close closes what is open.
func (s *Stores) Close() error {
	var all error
	if s.DB != nil {
		all = errors.Join(all, s.DB.Close())
	}
	if s.Data != nil {
		all = errors.Join(all, s.Data.Close())
	}
	return all
}
