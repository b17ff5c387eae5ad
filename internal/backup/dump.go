package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// dumpPrefix and dumpSuffix are around the time in the names of dumps, which
	// therefore sort by it.
	dumpPrefix = "metadata-"
	dumpSuffix = ".dump"
	// atOnce is how many blobs are copied at a time.
	atOnce = 4
)

// Dump is a file that holds a dump of the metadata.
type Dump struct {
	Path    string
	Summary metadata.DumpSummary
}

// NewDumpPath is where a dump goes that is to be written to a path: into a file of
// its own where that is a folder.
func NewDumpPath(path string, now time.Time) (string, error) {
	info, err := os.Stat(path)
	isFolder := err == nil && info.IsDir() || strings.HasSuffix(path, string(filepath.Separator))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if !isFolder {
		return path, nil
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return "", err
	}
	return filepath.Join(path, dumpPrefix+now.UTC().Format("20060102T150405Z")+dumpSuffix), nil
}

// WriteDump makes a file of a dump that fn writes, which only its owner can read: whole
// and durable, or not at all.
func WriteDump(path string, fn func(io.Writer) error) (_ *Dump, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".partial-*")
	if err != nil {
		return nil, fmt.Errorf("writing the dump %s: %w", path, err)
	}
	err = errors.Join(fn(file), file.Sync(), file.Close())
	var dump *Dump
	if err == nil {
		// Read back, so that what was cut off on its way is not taken for a backup.
		dump, err = readDump(file.Name())
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return nil, fmt.Errorf("writing the dump %s: %w", path, err)
	}
	dump.Path = path
	return dump, syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// OpenDump finds a dump and reads it once to its end: the file of that path, or the
// newest in the folder.
func OpenDump(path string) (*Dump, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		path, err = newestDump(path)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the dump: %w", err)
	}
	return readDump(path)
}

func newestDump(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(escaped(dir), dumpPrefix+"*"+dumpSuffix))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%s holds no %s...%s: give the file itself", dir, dumpPrefix, dumpSuffix)
	}
	return slices.Max(found), nil
}

// escaped is a path that Glob takes as it is.
func escaped(dir string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(dir)
}

func readDump(path string) (*Dump, error) {
	d := &Dump{Path: path}
	var err error
	d.Summary, err = d.read(func(metadata.Blob) error { return nil })
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Dump) read(fn func(metadata.Blob) error) (metadata.DumpSummary, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return metadata.DumpSummary{}, err
	}
	defer func() { _ = f.Close() }()
	return metadata.DumpedBlobs(f, fn)
}

// Blobs is how many blobs the dump names.
func (d *Dump) Blobs() int { return int(d.Summary.Rows["blobs"]) }

// each calls fn for every blob of the dump, a few at a time, until one fails.
func (d *Dump) each(ctx context.Context, fn func(context.Context, metadata.Blob) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	blobs := make(chan metadata.Blob)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for b := range blobs {
				if err := fn(ctx, b); err != nil {
					fail(err)
					return
				}
			}
		})
	}
	_, err := d.read(func(b metadata.Blob) error {
		select {
		case blobs <- b:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(blobs)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
