package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// writeArchive writes an image as an OCI archive, by way of a folder that is made. The
// archive is there whole or not at all.
func writeArchive(name, folder, tag string, index v1.ImageIndex) error {
	images, err := layout.Write(folder, empty.Index)
	if err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	if err := images.AppendIndex(index, layout.WithAnnotations(map[string]string{ocispec.AnnotationRefName: tag})); err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // an image is for others to read
		return err
	}
	unfinished := name + ".part"
	if err := pack(unfinished, folder); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(unfinished, name)
}

// pack writes the files of a folder to a tar file. What depends on when and by whom it was
// made is left out.
func pack(name, folder string) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
	}()
	w := tar.NewWriter(file)
	err = fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return packFile(w, filepath.Join(folder, path), path)
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func packFile(w *tar.Writer, file, name string) error {
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	info, err := content.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(w, content)
	return err
}
