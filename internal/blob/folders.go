package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// disk holds the operations whose order decides what a power loss leaves.
type disk interface {
	syncFile(f *os.File) error
	rename(from, to string) error
	syncFolder(path string) error
}

// realDisk is the operating system's.
type realDisk struct{}

func (realDisk) syncFile(f *os.File) error { return f.Sync() }

func (realDisk) rename(from, to string) error { return os.Rename(from, to) }

func (realDisk) syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := folder.Sync(); err != nil {
		_ = folder.Close()
		return err
	}
	return folder.Close()
}

// folders makes folders whose own entries survive a power loss. It remembers
// those that it has seen to, at most a few hundred: that a folder is there does
// not tell whether its entry is durable, since another commit may have made it
// a moment ago, or a process that was killed before it synced the parent.
type folders struct {
	disk    disk
	mu      sync.Mutex
	durable map[string]bool
}

// newFolders trusts the nearest folder above root that exists, and root itself
// when it does.
func newFolders(d disk, root string) (*folders, error) {
	for path := root; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return &folders{disk: d, durable: map[string]bool{path: true}}, nil
		case err == nil:
			return nil, fmt.Errorf("%s is a file, a folder is needed there", path)
		case !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path):
			return nil, err
		}
	}
}

// ensure makes the folder and those above it where they are missing, each
// synced into its parent.
func (f *folders) ensure(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ensureLocked(path)
}

func (f *folders) ensureLocked(path string) error {
	if f.durable[path] {
		return nil
	}
	parent := filepath.Dir(path)
	if err := f.ensureLocked(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Stat(path); err != nil {
		return err
	} else if !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: path, Err: fs.ErrExist}
	}
	if err := f.disk.syncFolder(parent); err != nil {
		return err
	}
	f.durable[path] = true
	return nil
}
