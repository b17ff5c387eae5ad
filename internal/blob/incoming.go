package blob

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	// The hashes that go-digest looks up by name.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/opencontainers/go-digest"
)

// incoming is the file of an upload or a spool, hashed as it is written.
type incoming struct {
	store     *Files
	file      *os.File
	algorithm digest.Algorithm
	hash      hash.Hash
	size      int64
	// other is the digest by an algorithm that is not the running one, kept for
	// Commit after Verify. Empty when not computed since the last write.
	other digest.Digest
	// settled is true once the file has been saved, committed or removed: there
	// is nothing left to write to or to drop.
	settled bool
}

// Write appends to the file. What part of p was written despite an error counts.
func (in *incoming) Write(p []byte) (int, error) {
	if in.settled {
		return 0, fmt.Errorf("writing to %s after its end: %w", in.file.Name(), fs.ErrClosed)
	}
	n, err := in.file.Write(p)
	_, _ = in.hash.Write(p[:n]) // a hash never fails
	in.size += int64(n)
	in.other = ""
	return n, err
}

// Size is the number of bytes written so far.
func (in *incoming) Size() int64 { return in.size }

// verify compares the bytes with the digest. An algorithm other than the
// running one costs a second reading.
func (in *incoming) verify(ctx context.Context, want digest.Digest) error {
	if err := CheckDigest(want); err != nil {
		return err
	}
	got := digest.NewDigest(in.algorithm, in.hash)
	if want.Algorithm() != in.algorithm {
		if in.other == "" {
			h, err := in.rehash(ctx, want.Algorithm(), in.size)
			if err != nil {
				return err
			}
			in.other = digest.NewDigest(want.Algorithm(), h)
		}
		got = in.other
	}
	if got != want {
		return &MismatchError{Want: want, Got: got}
	}
	return nil
}

// rehash reads the first size bytes of the file.
func (in *incoming) rehash(ctx context.Context, alg digest.Algorithm, size int64) (hash.Hash, error) {
	h := alg.Hash()
	n, err := io.Copy(h, &contextReader{ctx, io.NewSectionReader(in.file, 0, size)})
	if err != nil {
		return nil, fmt.Errorf("reading %s again for its %s digest: %w", in.file.Name(), alg, err)
	}
	if n != size {
		return nil, fmt.Errorf("reading %s again for its %s digest: %w", in.file.Name(), alg, io.ErrUnexpectedEOF)
	}
	return h, nil
}

// commit is Commit without closing the file.
func (in *incoming) commit(ctx context.Context, want digest.Digest) (string, error) {
	if in.settled {
		return "", fmt.Errorf("committing %s after its end: %w", in.file.Name(), fs.ErrClosed)
	}
	if err := in.verify(ctx, want); err != nil {
		if _, mismatch := errors.AsType[*MismatchError](err); mismatch {
			return "", errors.Join(err, in.drop())
		}
		return "", fmt.Errorf("committing blob %s: %w", want, err)
	}
	if err := in.keep(keyOf(want)); err != nil {
		return "", fmt.Errorf("committing blob %s: %w", want, err)
	}
	return keyOf(want), nil
}

// keep makes the file the blob with that key. The order is what makes it
// durable: the bytes before the name, and the name before the answer.
func (in *incoming) keep(key string) error {
	target := in.store.path(key)
	folder := filepath.Dir(target)
	if err := in.store.folders.ensure(folder); err != nil {
		return err
	}
	if info, err := os.Lstat(target); err == nil && info.Mode().IsRegular() && info.Size() == in.size {
		if err := in.drop(); err != nil {
			return err
		}
		// Whoever has put it there may not have come to this yet.
		return in.store.disk.syncFolder(folder)
	}
	if err := in.sync(); err != nil {
		return err
	}
	if err := in.store.disk.rename(in.file.Name(), target); err != nil {
		return err
	}
	in.settled = true
	return in.store.disk.syncFolder(folder)
}

// sync makes the bytes durable. After a failure they are dropped: the kernel may
// have forgotten that they were never written, and would report success if it
// were asked again.
func (in *incoming) sync() error {
	if err := in.store.disk.syncFile(in.file); err != nil {
		return errors.Join(err, in.drop())
	}
	return nil
}

// drop removes the file; whoever has it open can read on.
func (in *incoming) drop() error {
	if in.settled {
		return nil
	}
	if err := remove(in.file.Name()); err != nil {
		return err
	}
	in.settled = true
	return nil
}

// contextReader ends a long reading when the context is done.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
