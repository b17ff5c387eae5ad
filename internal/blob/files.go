package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	folderMode fs.FileMode = 0o750
	// fileMode lets the group read, so that a backup needs no root.
	fileMode fs.FileMode = 0o640
)

// Files is the driver that keeps blobs as files below one folder:
//
//	blobs/sha256/ab/ab12...  a blob; its key is the path below blobs
//	uploads/RANDOM           an upload that is running or was saved
//	spool/RANDOM             a spool that is running
//	damaged/ab12...          a damaged blob that was set aside
//
// All are on one file system, so that a commit is a rename.
type Files struct {
	disk    disk
	folders *folders
	blobs   string
	uploads string
	spool   string
	damaged string // made when it is needed
}

var _ Store = (*Files)(nil)

// OpenFiles opens the store below dir, which is made when it is missing, and
// removes the spools that a crash has left. Uploads stay, since they may be
// resumed; see RemoveStrayUploads. One process at a time may have the folder open; the caller sees to
// it.
func OpenFiles(dir string) (*Files, error) {
	s, err := openFiles(dir, realDisk{})
	if err != nil {
		return nil, fmt.Errorf("opening the blob folder %s: %w", dir, err)
	}
	return s, nil
}

func openFiles(dir string, d disk) (*Files, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	made, err := newFolders(d, root)
	if err != nil {
		return nil, err
	}
	s := &Files{
		disk:    d,
		folders: made,
		blobs:   filepath.Join(root, "blobs"),
		uploads: filepath.Join(root, "uploads"),
		spool:   filepath.Join(root, "spool"),
		damaged: filepath.Join(root, damagedFolder),
	}
	for _, folder := range []string{s.blobs, s.uploads, s.spool} {
		if err := made.ensure(folder); err != nil {
			return nil, err
		}
	}
	if _, err := removeStrays(s.spool, nil); err != nil {
		return nil, fmt.Errorf("removing stale spools: %w", err)
	}
	return s, nil
}

// Create begins an upload in a new file.
func (s *Files) Create(_ context.Context, alg digest.Algorithm) (Upload, error) {
	in, err := s.create(s.uploads, alg)
	if err != nil {
		return nil, fmt.Errorf("beginning an upload: %w", err)
	}
	return &fileUpload{in}, nil
}

// Spool begins a spool in a new file.
func (s *Files) Spool(_ context.Context, alg digest.Algorithm) (Spool, error) {
	in, err := s.create(s.spool, alg)
	if err != nil {
		return nil, fmt.Errorf("beginning a spool: %w", err)
	}
	return &fileSpool{in}, nil
}

func (s *Files) create(folder string, alg digest.Algorithm) (*incoming, error) {
	if err := CheckAlgorithm(alg); err != nil {
		return nil, err
	}
	name := filepath.Join(folder, rand.Text())
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	return &incoming{store: s, file: f, algorithm: alg, hash: alg.Hash()}, nil
}

// Stat tells a blob's size in bytes.
func (s *Files) Stat(_ context.Context, key string) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	info, err := os.Stat(s.path(key))
	if err != nil {
		return 0, fmt.Errorf("looking for blob %s: %w", key, notFound(err))
	}
	return info.Size(), nil
}

// Open opens a blob. What it returns is an Opened that a server can hand to the kernel
// (sendfile).
func (s *Files) Open(_ context.Context, key string) (io.ReadSeekCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	f, err := os.Open(s.path(key))
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", key, notFound(err))
	}
	return openFile{f}, nil
}

// Delete removes a blob. Whoever has it open can read on.
func (s *Files) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	name := s.path(key)
	if err := os.Remove(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("deleting blob %s: %w", key, err)
	}
	// A damaged blob that a power loss brought back would be taken for the good
	// one at the next commit of its digest.
	if err := s.disk.syncFolder(filepath.Dir(name)); err != nil {
		return fmt.Errorf("deleting blob %s: %w", key, err)
	}
	return nil
}

func (s *Files) path(key string) string {
	return filepath.Join(s.blobs, filepath.FromSlash(key))
}

// randomName says whether a file name has the form that create gives.
func randomName(name string) bool {
	const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	return len(name) == len(rand.Text()) && strings.Trim(name, base32) == ""
}

// remove removes a file which need not be there any more.
func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// notFound adds ErrNotFound to the chain of an error that means it.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}
