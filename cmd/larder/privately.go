package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// writePrivately replaces a file as a whole; nobody but its owner can read it, nor the
// folder where it had to be made.
func writePrivately(path string, text []byte) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("making the folder of %s: %w", path, err)
	}
	// CreateTemp makes it readable for its owner alone.
	f, err := os.CreateTemp(folder, filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
