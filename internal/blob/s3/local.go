package s3

import (
	"errors"
	"hash"
	"os"
)

// local is a part in a file without a name.
type local struct {
	file *os.File
	size int64
	sum  hash.Hash
}

func (l *local) Write(p []byte) (int, error) {
	n, err := l.file.Write(p)
	_, _ = l.sum.Write(p[:n]) // a hash never fails
	l.size += int64(n)
	return n, err
}

// piece is empty for a part that is nil.
func (l *local) piece() piece {
	if l == nil {
		return piece{sum: hexOf(newSum())}
	}
	return piece{content: l.file, size: l.size, sum: hexOf(l.sum), release: l.close}
}

// close gives the file's bytes free.
func (l *local) close() {
	if l != nil {
		_ = l.file.Close() // nobody can read it again
	}
}

func (s *Store) local() (*local, error) {
	file, err := s.scratch()
	if err != nil {
		return nil, err
	}
	return &local{file: file, sum: newSum()}, nil
}

// scratch makes a local file that has no name and goes with its last user.
func (s *Store) scratch() (*os.File, error) {
	f, err := os.CreateTemp(s.spoolDir, "larder-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
