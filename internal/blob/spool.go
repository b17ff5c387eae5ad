package blob

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// fileSpool is a Spool into a file. ReadAt may be called while the writer is in
// any other method but Close: it needs nothing but the open file, which outlives
// its name.
type fileSpool struct{ *incoming }

// ReadAt reads bytes that have been written already; beyond them is io.EOF.
func (s *fileSpool) ReadAt(p []byte, offset int64) (int, error) {
	return s.file.ReadAt(p, offset)
}

// Verify compares what was written with the digest.
func (s *fileSpool) Verify(want digest.Digest) error {
	return s.verify(context.Background(), want)
}

// Commit makes the file the blob.
func (s *fileSpool) Commit(ctx context.Context, want digest.Digest) (string, error) {
	return s.commit(ctx, want)
}

// Cancel removes the file's name.
func (s *fileSpool) Cancel(context.Context) error {
	if err := s.drop(); err != nil {
		return fmt.Errorf("canceling a spool: %w", err)
	}
	return nil
}

// Close closes the file, and drops what was not committed: nobody could find it
// again.
func (s *fileSpool) Close() error {
	if err := errors.Join(s.drop(), s.file.Close()); err != nil {
		return fmt.Errorf("closing a spool: %w", err)
	}
	return nil
}
