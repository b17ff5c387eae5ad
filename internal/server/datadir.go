package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	markerFile   = "larder.json"
	lockFile     = "lock"
	metadataFile = "metadata.db"
	blobFolder   = "blobs"
	spoolFolder  = "spool"
)

// Data is the data folder, held by this process alone until Close.
type Data struct {
	dir  string
	lock *os.File
}

// OpenData takes possession of a data folder and makes it first where it is absent
// or empty. A folder that holds something else, or is damaged, or was written by a
// newer Larder, or is in use by another process, is an error that says what to do;
// nothing in it is touched then.
func OpenData(dir string) (*Data, error) { return openFolder(dir, checkMetadata) }

// openFolder is OpenData with a check of its own for what a folder of Larder's holds.
func openFolder(dir string, check func(dir string) error) (*Data, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the data folder: %w", err)
	}
	marked, err := inspect(dir, check)
	if err != nil {
		return nil, err
	}
	if !marked {
		if err := makeFolder(dir); err != nil {
			return nil, fmt.Errorf("making the data folder %s: %w; choose another with --data DIR", dir, err)
		}
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	data := &Data{dir: dir, lock: lock}
	if err := data.mark(check); err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return data, nil
}

// mark looks again now that nobody else can write, and makes a new folder Larder's.
func (d *Data) mark(check func(dir string) error) error {
	marked, err := inspect(d.dir, check)
	if err != nil || marked {
		return err
	}
	if err := writeMarker(d.dir); err != nil {
		return fmt.Errorf("writing to the data folder %s: %w", d.dir, err)
	}
	return nil
}

// Path is the absolute path of something in the folder.
func (d *Data) Path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// Close gives the folder free for another process.
func (d *Data) Close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("releasing the data folder %s: %w", d.dir, err)
	}
	return nil
}

// makeFolder makes a folder and those above it that are missing, and sees to it
// that they outlive a power failure: what is kept inside would be lost with them. That a
// folder is there tells nothing of that: a process that was killed may just have made it.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		if err := syncFolder(parent); err != nil && !beyondUs(err) {
			return err
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

// beyondUs tells that nothing is to be done about a folder: this user may not read it, and so
// has hardly made anything in it, or its file system cannot be written to, or syncs no folders.
func beyondUs(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) ||
		errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeFile writes a file as a whole or not at all, durably.
func writeFile(name string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+temporarySuffix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(name))
}
