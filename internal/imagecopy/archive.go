package imagecopy

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxArchiveFiles bounds how many files of an archive are known, whose places in it are
// kept in memory.
const maxArchiveFiles = 100_000

// newArchive is an image layout in a tar file, as skopeo and podman write it. It is read in
// place, and never unpacked.
func newArchive(p Place) *folder {
	return &folder{place: p, files: &archive{path: p.Folder}}
}

// archive is a tar file. It is looked through once.
type archive struct {
	path string

	once  sync.Once
	err   error
	files map[string]extent
}

// extent is where the content of a file lies, in bytes.
type extent struct{ offset, size int64 }

func (a *archive) open(name string) (io.ReadCloser, error) {
	a.once.Do(func() { a.files, a.err = extents(a.path) })
	if a.err != nil {
		return nil, a.err
	}
	at, ok := a.files[name]
	if !ok {
		return nil, fmt.Errorf("%s in %s: %w", name, a.path, fs.ErrNotExist)
	}
	file, err := os.Open(a.path)
	if err != nil {
		return nil, fmt.Errorf("opening the archive: %w", err)
	}
	return &section{io.NewSectionReader(file, at.offset, at.size), file}, nil
}

// section is a part of an open file.
type section struct {
	*io.SectionReader
	file *os.File
}

func (s *section) Close() error { return s.file.Close() }

// extents finds the files of a layout in an archive.
func extents(archive string) (map[string]extent, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, fmt.Errorf("opening the archive: %w", err)
	}
	defer func() { _ = file.Close() }()
	found := map[string]extent{}
	entries := tar.NewReader(file)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no tar file, or a compressed one, which has to be unpacked first: %w", archive, err)
		}
		name, ok := ofLayout(header)
		if !ok {
			continue
		}
		// The reader has taken the header from the file and nothing after it.
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file.Name(), err)
		}
		if found[name] = (extent{offset, header.Size}); len(found) > maxArchiveFiles {
			return nil, fmt.Errorf("%s holds more than %d files: unpack it, and copy from the folder", file.Name(), maxArchiveFiles)
		}
	}
}

// ofLayout is the name of an entry of an archive that is a file of an image layout.
func ofLayout(header *tar.Header) (string, bool) {
	name := path.Clean(header.Name)
	return name, header.Typeflag == tar.TypeReg &&
		(name == ocispec.ImageIndexFile || strings.HasPrefix(name, ocispec.ImageBlobsDir+"/"))
}
