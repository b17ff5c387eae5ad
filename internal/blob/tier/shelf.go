package tier

import (
	"cmp"
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	folderMode fs.FileMode = 0o750
	// comingPrefix begins the names of files that are not whole yet.
	comingPrefix = "coming-"
)

// shelf is the folder, and which of its files were used last. A blob that is whole is
// the file KEY-SIZE, where KEY is the SHA-256 of the blob's key: it gets that name only
// once its bytes are durable, so a file whose size is the one in its name is good after
// a crash, too.
type shelf struct {
	dir   string
	limit int64
	gauge prometheus.Gauge

	mu    sync.Mutex
	used  int64                    // bytes that are kept or have been reserved
	kept  int64                    // bytes that are kept
	files map[string]*list.Element // by base name of the key
	order *list.List               // of *shelved, the last used in front
}

// shelved is one file.
type shelved struct {
	base string
	size int64
}

func (f *shelved) name() string { return f.base + "-" + strconv.FormatInt(f.size, 10) }

// baseOf is the part of a file's name that comes from the key.
func baseOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// openShelf takes stock of the folder, and removes what is not whole or too much.
func openShelf(dir string, limit int64, gauge prometheus.Gauge) (*shelf, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, err
	}
	s := &shelf{dir: dir, limit: limit, gauge: gauge, files: map[string]*list.Element{}, order: list.New()}
	found, err := s.stock()
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		s.add(f)
		s.used += f.size
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(0)
	return s, nil
}

// stock lists the files that are whole, the oldest first, and removes the others of
// ours.
func (s *shelf) stock() ([]*shelved, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	modified := map[*shelved]int64{}
	var found []*shelved
	for _, entry := range entries {
		f, ours := parseName(entry.Name())
		if !ours || !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		if f == nil || info.Size() != f.size {
			if err := os.Remove(filepath.Join(s.dir, entry.Name())); err != nil {
				return nil, err
			}
			continue
		}
		modified[f] = info.ModTime().UnixNano()
		found = append(found, f)
	}
	slices.SortFunc(found, func(a, b *shelved) int { return cmp.Compare(modified[a], modified[b]) })
	return found, nil
}

// parseName reads a file's name; nil when it is that of one which is not whole.
func parseName(name string) (f *shelved, ours bool) {
	if strings.HasPrefix(name, comingPrefix) {
		return nil, true
	}
	base, text, _ := strings.Cut(name, "-")
	size, err := strconv.ParseInt(text, 10, 64)
	if sum, bad := hex.DecodeString(base); bad != nil || len(sum) != sha256.Size || err != nil || size < 0 {
		return nil, false
	}
	f = &shelved{base: base, size: size}
	return f, f.name() == name
}

// open opens a blob that is kept; nil when it is not.
func (s *shelf) open(key string) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.files[baseOf(key)]
	if at == nil {
		return nil
	}
	f, _ := at.Value.(*shelved) // nothing else is in the list
	file, err := os.Open(filepath.Join(s.dir, f.name()))
	if err == nil {
		if info, failed := file.Stat(); failed == nil && info.Size() == f.size {
			s.order.MoveToFront(at)
			return file
		}
		_ = file.Close()
	}
	s.remove(at) // somebody has removed or cut it
	return nil
}

// reserve makes room for a blob that is coming in, at the cost of those that were not
// used for longest. Each is followed by keep or release.
func (s *shelf) reserve(size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used-s.kept+size > s.limit {
		return false
	}
	s.makeRoom(size)
	s.used += size
	return true
}

// release gives back what was reserved.
func (s *shelf) release(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= size
}

// keep puts a file, whose bytes are durable and whose room is reserved, under its name.
func (s *shelf) keep(key, file string, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &shelved{base: baseOf(key), size: size}
	if at := s.files[f.base]; at != nil {
		s.remove(at)
	}
	if err := os.Rename(file, filepath.Join(s.dir, f.name())); err != nil {
		s.used -= size
		return err
	}
	s.add(f)
	return nil
}

// drop removes what is kept under a key, and tells whether there was anything.
func (s *shelf) drop(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.files[baseOf(key)]
	if at == nil {
		return false
	}
	s.remove(at)
	return true
}

func (s *shelf) makeRoom(size int64) {
	for s.used+size > s.limit && s.order.Len() > 0 {
		s.remove(s.order.Back())
	}
}

func (s *shelf) add(f *shelved) {
	s.files[f.base] = s.order.PushFront(f)
	s.kept += f.size
	s.gauge.Set(float64(s.kept))
}

// remove forgets a file, also when it cannot be removed: it is then tried again at the
// next start.
func (s *shelf) remove(at *list.Element) {
	f, _ := at.Value.(*shelved) // nothing else is in the list
	s.order.Remove(at)
	delete(s.files, f.base)
	s.used -= f.size
	s.kept -= f.size
	s.gauge.Set(float64(s.kept))
	_ = os.Remove(filepath.Join(s.dir, f.name()))
}

// create makes a file for what is coming in.
func (s *shelf) create() (*os.File, error) { return os.CreateTemp(s.dir, comingPrefix) }

// discard removes a file that create made.
func (s *shelf) discard(f *os.File) error {
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
