package s3

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// spool is a blob.Spool: a local file that readers follow, and whose parts go up
// meanwhile. The writer never waits for S3. ReadAt may be called while the writer
// is in any other method but Close: it needs nothing but the file.
type spool struct {
	*transfer
	file  *os.File
	cutAt int64     // offset of the rest, which is in no part yet
	sum   hash.Hash // of the rest
	// other is the digest by an algorithm that is not the running one, kept for
	// Commit after Verify. Empty when not computed since the last write.
	other digest.Digest
}

// Write appends to the file. What part of p was written despite an error counts.
func (s *spool) Write(p []byte) (written int, err error) {
	if s.settled {
		return 0, fmt.Errorf("writing to a spool after its end: %w", fs.ErrClosed)
	}
	s.other = ""
	for len(p) > 0 {
		room := partSize(s.store.partSize, s.cut) - (s.size - s.cutAt)
		if room <= 0 {
			s.hand(s.rest())
			s.cutAt, s.sum = s.size, newSum()
			continue
		}
		n, err := s.file.Write(p[:min(int64(len(p)), room)])
		s.count(p[:n])
		_, _ = s.sum.Write(p[:n]) // a hash never fails
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}

// Hold keeps parts from going up while held is true: the writer expects that somebody else
// will store the same blob. Commit sends them all the same.
func (s *spool) Hold(held bool) { s.queue.hold(s.ctx, held) }

func (s *spool) rest() piece {
	return piece{content: s.file, offset: s.cutAt, size: s.size - s.cutAt, sum: hexOf(s.sum)}
}

// ReadAt reads bytes that have been written already; beyond them is io.EOF.
func (s *spool) ReadAt(p []byte, offset int64) (int, error) { return s.file.ReadAt(p, offset) }

// Verify compares what was written with the digest.
func (s *spool) Verify(want digest.Digest) error {
	got, err := s.digest(s.ctx, want)
	if err != nil {
		return err
	}
	if got != want {
		return &blob.MismatchError{Want: want, Got: got}
	}
	return nil
}

// digest is what want should be. An algorithm other than the running one costs a
// second reading of the file.
func (s *spool) digest(ctx context.Context, want digest.Digest) (digest.Digest, error) {
	if err := blob.CheckDigest(want); err != nil {
		return "", err
	}
	if got := s.running(want.Algorithm()); got != "" {
		return got, nil
	}
	if s.other == "" {
		whole := piece{content: s.file, size: s.size}
		got, err := digestOf(ctx, want.Algorithm(), whole.body(), s.size)
		if err != nil {
			return "", err
		}
		s.other = got
	}
	return s.other, nil
}

// Commit sends what has not gone up and makes the parts the blob.
func (s *spool) Commit(ctx context.Context, want digest.Digest) (string, error) {
	if s.settled {
		return "", fmt.Errorf("committing a spool after its end: %w", fs.ErrClosed)
	}
	got, err := s.digest(ctx, want)
	if err != nil {
		return "", fmt.Errorf("committing a blob: %w", err)
	}
	return s.commit(ctx, want, got, s.rest())
}

// Cancel drops the parts. The file stays for its readers.
func (s *spool) Cancel(ctx context.Context) error {
	if err := s.drop(ctx); err != nil {
		return fmt.Errorf("canceling a spool: %w", err)
	}
	return nil
}

// Close gives the file free, and drops what was not committed: nobody could find
// it again.
func (s *spool) Close() error {
	if err := errors.Join(s.drop(s.ctx), s.file.Close()); err != nil {
		return fmt.Errorf("closing a spool: %w", err)
	}
	return nil
}
