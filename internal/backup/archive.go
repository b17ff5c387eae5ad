package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/larder-registry/larder/internal/blob"
)

// dataMarker is in every data folder.
const dataMarker = "larder.json"

// Archive keeps the blobs of backups, each once under its digest.
type Archive interface {
	// Holds tells whether a blob of that size is there.
	Holds(ctx context.Context, d digest.Digest, size int64) (bool, error)
	// Put keeps a blob durably once all of r was read. When r fails, nothing is kept.
	Put(ctx context.Context, d digest.Digest, size int64, r io.Reader) error
	// Open opens a blob. The caller closes it. The error has blob.ErrNotFound in its
	// chain when there is none.
	Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error)
}

// Folder is an Archive in files, arranged as those of a data folder are.
type Folder struct {
	files *blob.Files
	lock  *os.File // nil when it is only read
}

// OpenFolder opens the archive below a folder, which is made when it is missing, to
// write to it. One process at a time has it open so.
func OpenFolder(ctx context.Context, dir string) (*Folder, error) {
	if _, err := os.Stat(filepath.Join(dir, dataMarker)); err == nil {
		return nil, fmt.Errorf("%s is the data folder of a server: give another folder for the blobs", dir)
	}
	f := &Folder{}
	var err error
	if f.files, err = blob.OpenFiles(dir); err != nil {
		return nil, fmt.Errorf("opening the archive of blobs: %w", err)
	}
	if f.lock, err = lock(filepath.Join(dir, "lock")); err != nil {
		return nil, fmt.Errorf("opening the archive of blobs: %w", err)
	}
	if _, err := f.files.RemoveStrayUploads(ctx, nil); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFolder opens the archive below a folder, or the blobs of a data folder whose
// server is stopped, to read from it.
func ReadFolder(dir string) (*Folder, error) {
	if _, err := os.Stat(filepath.Join(dir, "blobs")); err != nil {
		return nil, fmt.Errorf("%s is no archive of blobs: %w", dir, err)
	}
	files, err := blob.OpenFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the archive of blobs: %w", err)
	}
	return &Folder{files: files}, nil
}

// lock takes the lock that a process holds as long as it writes. The kernel releases
// it when the process ends, however it ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process writes to it (%w): wait until that has ended", err), f.Close())
	}
	return f, nil
}

// Close lets other processes write.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	return f.lock.Close()
}

// Holds tells whether a blob of that size is there.
func (f *Folder) Holds(ctx context.Context, d digest.Digest, size int64) (bool, error) {
	key, err := blob.FileKey(d)
	if err != nil {
		return false, err
	}
	held, err := f.files.Stat(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return err == nil && held == size, err
}

// Put keeps a blob durably under its digest.
func (f *Folder) Put(ctx context.Context, d digest.Digest, _ int64, r io.Reader) error {
	_, err := store(ctx, f.files, d, r)
	return err
}

// Open opens a blob.
func (f *Folder) Open(ctx context.Context, d digest.Digest) (io.ReadCloser, error) {
	key, err := blob.FileKey(d)
	if err != nil {
		return nil, err
	}
	return f.files.Open(ctx, key)
}

// store keeps what r holds and returns its key.
func store(ctx context.Context, to blob.Store, d digest.Digest, r io.Reader) (key string, err error) {
	upload, err := to.Create(ctx, d.Algorithm())
	if err != nil {
		return "", err
	}
	if _, err = io.Copy(upload, r); err == nil {
		key, err = upload.Commit(ctx, d)
	}
	if err != nil {
		return "", errors.Join(err, upload.Cancel(context.WithoutCancel(ctx)))
	}
	return key, nil
}
