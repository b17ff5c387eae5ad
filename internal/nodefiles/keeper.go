package nodefiles

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/mirror"
)

const (
	// mark is the first line of each file that is kept here. Without it a file is somebody
	// else's.
	mark = "# Kept by larder mirrors --keep: what is changed here is changed back, and removed when that ends.\n"
	// unfinished begins the names of files that are being written.
	unfinished = ".larder-unfinished-"
	// maxFile bounds a file that is read, in bytes, and maxFolders how many folders are
	// searched for files that are needed no more.
	maxFile, maxFolders = 1 << 20, 1000
)

// errForeign says that a file is somebody else's.
var errForeign = errors.New("it is somebody else's: add to it what larder mirrors prints, or remove it")

// Keeper keeps files in their places. It is for one goroutine.
type Keeper struct {
	// Root is the folder below which the places are: /, or where a node's root is mounted.
	Root string
	// Files are those to keep; those of one folder belong together. Their folders are in
	// one folder, in which nothing but folders of this kind is searched.
	Files []mirror.File
}

// Keep puts each file into its place, and removes those of this package that are none of
// them. It returns the paths that it has changed. Where one file of a folder is somebody
// else's, all of the folder stay as they are, and the error says so for each; the others are
// kept all the same.
func (k Keeper) Keep() (changed []string, err error) {
	var all []error
	folders := map[string][]mirror.File{}
	for _, f := range k.Files {
		folder := filepath.Dir(k.place(f))
		folders[folder] = append(folders[folder], f)
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		written, err := k.keepFolder(folder, folders[folder])
		changed, all = append(changed, written...), append(all, err)
	}
	removed, err := k.removeOwn(func(path string) bool {
		return !slices.ContainsFunc(k.Files, func(f mirror.File) bool { return k.place(f) == path })
	})
	return append(changed, removed...), errors.Join(append(all, err)...)
}

// Remove removes all files of this package, and the folders that are empty then.
func (k Keeper) Remove() (removed []string, err error) {
	return k.removeOwn(func(string) bool { return true })
}

func (k Keeper) place(f mirror.File) string { return filepath.Join(k.Root, filepath.FromSlash(f.Path)) }

// keepFolder writes the last file first: those after the first are what it refers to.
func (k Keeper) keepFolder(folder string, files []mirror.File) (changed []string, err error) {
	was := make([]string, len(files))
	for i, f := range files {
		if was[i], err = own(k.place(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for i, f := range slices.Backward(files) {
		if was[i] == mark+f.Text {
			continue
		}
		if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // what nodes read is no secret
			return changed, fmt.Errorf("making the folder %s: %w", folder, err)
		}
		if err := replace(k.place(f), mark+f.Text); err != nil {
			return changed, fmt.Errorf("writing %s: %w", k.place(f), err)
		}
		changed = append(changed, k.place(f))
	}
	return changed, nil
}

// own reads a file of this package. The error is errForeign where it is another's.
func own(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", fmt.Errorf("%s: %w", path, errForeign)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if !bytes.HasPrefix(text, []byte(mark)) {
		return "", fmt.Errorf("%s: %w", path, errForeign)
	}
	return string(text), nil
}

// replace has a file say something else at once, also after a power loss.
func replace(path, text string) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), unfinished+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = io.WriteString(file, text)
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// removeOwn removes files of this package that are chosen, and what a crash has left.
func (k Keeper) removeOwn(chosen func(path string) bool) (removed []string, err error) {
	var all []error
	for _, base := range k.bases() {
		folders, err := os.ReadDir(base)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, fmt.Errorf("looking for files of ours: %w", err))
		}
		for _, folder := range folders[:min(len(folders), maxFolders)] {
			if !folder.IsDir() {
				continue
			}
			gone, err := k.removeFrom(filepath.Join(base, folder.Name()), chosen)
			removed, all = append(removed, gone...), append(all, err)
		}
	}
	return removed, errors.Join(all...)
}

func (k Keeper) removeFrom(folder string, chosen func(path string) bool) (removed []string, err error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("looking for files of ours: %w", err)
	}
	var all []error
	for _, f := range files { // hosts.toml goes before larder-ca.crt, to which it refers
		path := filepath.Join(folder, f.Name())
		if _, err := own(path); !strings.HasPrefix(f.Name(), unfinished) && (err != nil || !chosen(path)) {
			continue
		}
		if err := os.Remove(path); err != nil {
			all = append(all, fmt.Errorf("removing %s: %w", path, err))
			continue
		}
		removed = append(removed, path)
	}
	if len(removed) == 0 {
		return nil, errors.Join(all...)
	}
	_ = os.Remove(folder) // which fails where something of others is in it
	if err := syncFolder(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		all = append(all, err)
	}
	return removed, errors.Join(all...)
}

// bases are the folders of the files' folders.
func (k Keeper) bases() []string {
	bases := map[string]bool{}
	for _, f := range k.Files {
		bases[filepath.Dir(filepath.Dir(k.place(f)))] = true
	}
	return slices.Sorted(maps.Keys(bases))
}
