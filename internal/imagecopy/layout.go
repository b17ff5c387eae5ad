package imagecopy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// prepare makes an empty image layout of a folder that is new or empty. One that holds
// anything else is left as it is.
func (f *folder) prepare() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := os.Stat(f.path("index.json"))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(f.place.Folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking at %s: %w", f.place.Folder, err)
	}
	for _, entry := range entries {
		if entry.Name() != ocispec.ImageLayoutFile && entry.Name() != ocispec.ImageBlobsDir {
			return fmt.Errorf("%s holds other files and is no OCI image layout: give an empty folder or a new one", f.place.Folder)
		}
	}
	marker := fmt.Sprintf("{\"imageLayoutVersion\":%q}", ocispec.ImageLayoutVersion)
	if err := replaceFile(f.path(ocispec.ImageLayoutFile), strings.NewReader(marker)); err != nil {
		return err
	}
	empty := fmt.Sprintf("{\"schemaVersion\":%d,\"mediaType\":%q,\"manifests\":[]}", specs.Versioned{SchemaVersion: 2}.SchemaVersion, ocispec.MediaTypeImageIndex)
	return replaceFile(f.path("index.json"), strings.NewReader(empty))
}

// replaceFile writes a file that is there whole or not at all, with its folder.
func replaceFile(path string, content io.Reader) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // images are for others to read, as those of other tools
		return fmt.Errorf("making %s: %w", folder, err)
	}
	file, err := os.CreateTemp(folder, ".larder-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = io.Copy(file, content)
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}
