package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// dataFormat is the arrangement of the data folder that this version knows.
	dataFormat = 1
	// temporarySuffix marks what writeFile had not finished when it was cut off.
	temporarySuffix = ".tmp-"
	// sqliteHeader begins every SQLite database (SQLite file format, §1.3).
	sqliteHeader = "SQLite format 3\x00"
)

// marker is the content of larder.json, which tells a data folder from any other.
type marker struct {
	Format int `json:"format"`
}

func writeMarker(dir string) error {
	text, err := json.Marshal(marker{Format: dataFormat})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, markerFile), append(text, '\n'), 0o600)
}

// inspect only reads, as check does. It tells whether the folder has a marker, and returns an
// error for one that Larder must not use.
func inspect(dir string, check func(dir string) error) (marked bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the data folder %s cannot be read: %w; make it readable to this user, or choose another with --data DIR", dir, err)
	}
	stranger := ""
	for _, e := range entries {
		switch {
		case e.Name() == markerFile:
			marked = true
		case !ignored(e.Name()):
			stranger = e.Name()
		}
	}
	if marked {
		return true, errors.Join(checkMarker(dir), check(dir))
	}
	if stranger != "" {
		return false, fmt.Errorf("the folder %s holds %s and other things that are not Larder's, so nothing was touched: choose an empty or a new folder with --data DIR; if this is a data folder that lost its %s, restore that file from a backup", dir, stranger, markerFile)
	}
	return false, nil
}

// ignored are files that an otherwise empty folder may hold: what a start that was
// cut off had left, and the folder with which new file systems begin.
func ignored(name string) bool {
	return name == lockFile || name == "lost+found" || strings.HasPrefix(name, markerFile+temporarySuffix)
}

func checkMarker(dir string) error {
	name := filepath.Join(dir, markerFile)
	text, err := ReadFile(name)
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be used: reading its %s: %w", dir, markerFile, err)
	}
	var m marker
	if err := json.Unmarshal(text, &m); err != nil || m.Format < 1 {
		return fmt.Errorf("the data folder %s is damaged: %s does not tell its format; restore that file from a backup, or write {\"format\":%d} to it if this version of Larder made the folder", dir, name, dataFormat)
	}
	if m.Format > dataFormat {
		return fmt.Errorf("the data folder %s has format %d, and this version of Larder knows formats up to %d: run the newer Larder that wrote it, or choose another folder with --data DIR", dir, m.Format, dataFormat)
	}
	return nil
}

// checkMetadata keeps a lost database from being replaced by an empty one, which
// would make all that is stored unreachable and, in time, swept away.
func checkMetadata(dir string) error {
	name := filepath.Join(dir, metadataFile)
	problem := ""
	switch whole, err := hasSQLiteHeader(name); {
	case errors.Is(err, fs.ErrNotExist):
		problem = "is missing"
	case err != nil:
		return fmt.Errorf("the data folder %s cannot be used: %w", dir, err)
	case whole:
		return nil
	default:
		problem = "is no SQLite database"
	}
	stored, err := holdsFiles(filepath.Join(dir, blobFolder))
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be read: %w", dir, err)
	}
	if !stored {
		return nil
	}
	return fmt.Errorf("the data folder %s is damaged: it holds blobs, but %s %s; restore that file from a backup (copies of earlier versions are named %s.before-VERSION), or choose another folder with --data DIR", dir, name, problem, metadataFile)
}

func hasSQLiteHeader(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, len(sqliteHeader))
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return bytes.Equal(head, []byte(sqliteHeader)), nil
}

// holdsFiles tells whether there is any file below a folder. It stops at the first.
func holdsFiles(dir string) (bool, error) {
	found := false
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Type().IsRegular() {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return found, err
}
