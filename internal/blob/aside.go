package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// damagedFolder holds what was set aside. Nothing in it is Larder's any more: whoever
// operates it may look at it, copy or remove it.
const damagedFolder = "damaged"

// SetAside takes a damaged blob out of the store and keeps its bytes in the folder
// damaged: a commit of the same digest would otherwise take them for the good ones. A
// blob that was set aside before is replaced, and one that is not there is no error.
func (s *Files) SetAside(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.setAside(key); err != nil {
		return fmt.Errorf("setting blob %s aside: %w", key, err)
	}
	return nil
}

func (s *Files) setAside(key string) error {
	if err := s.folders.ensure(s.damaged); err != nil {
		return err
	}
	from := s.path(key)
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.disk.rename(from, s.aside(key)); err != nil {
		return err
	}
	return errors.Join(s.disk.syncFolder(s.damaged), s.disk.syncFolder(filepath.Dir(from)))
}

// OpenAside opens a blob that was set aside, to see how it is now. The error is
// ErrNotFound when its bytes are not there any more.
func (s *Files) OpenAside(_ context.Context, key string) (io.ReadSeekCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	f, err := os.Open(s.aside(key))
	if err != nil {
		return nil, fmt.Errorf("opening blob %s, which was set aside: %w", key, notFound(err))
	}
	return openFile{f}, nil
}

// PutBack makes a blob that was set aside readable again, in place of what is under its
// key by now.
func (s *Files) PutBack(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	to := s.path(key)
	err := s.folders.ensure(filepath.Dir(to))
	if err == nil {
		err = s.disk.rename(s.aside(key), to)
	}
	if err == nil {
		err = errors.Join(s.disk.syncFolder(filepath.Dir(to)), s.disk.syncFolder(s.damaged))
	}
	if err != nil {
		return fmt.Errorf("putting blob %s back: %w", key, err)
	}
	return nil
}

func (s *Files) aside(key string) string { return filepath.Join(s.damaged, path.Base(key)) }
