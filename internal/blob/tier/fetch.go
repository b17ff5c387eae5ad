package tier

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

const (
	// copyBuffer is how much is read, hashed and written at a time.
	copyBuffer = 128 << 10
	// reach is how far ahead of what has come a reader may be and still wait for it.
	reach = 8 << 20
)

// errFar says that a reader is better served by the store beneath.
var errFar = errors.New("the bytes asked for come much later")

// fetch is one blob on its way into the folder, for all who read it meanwhile. It ends
// with the last of them.
type fetch struct {
	store    *Store
	key      string
	digest   digest.Digest // "" when nobody knows it
	size     int64
	identity string // of the bytes in the store beneath; "" when it is not known
	file     *os.File
	cancel   context.CancelFunc

	// The store's mutex guards these.
	readers  int
	unwanted bool // the blob was deleted meanwhile
	settled  bool // the file is kept or removed, and is closed by the last reader

	mu    sync.Mutex
	shown int64         // bytes that readers may have
	err   error         // why no more come
	grown chan struct{} // closed with every change of the two
}

// join finds the blob that is coming in and counts its caller among its readers.
func (s *Store) join(key string) *fetch {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fetches[key]
	if f != nil {
		f.readers++
	}
	return f
}

// begin joins what is coming in, or begins it; nil when there is no room for it, or
// when other bytes are coming in than the reader's.
func (s *Store) begin(r *reader) *fetch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.fetches[r.key]; f != nil {
		if differ(f.identity, r.identity) {
			return nil
		}
		f.readers++
		return f
	}
	if s.closed || !s.shelf.reserve(r.size) {
		return nil
	}
	file, err := s.shelf.create()
	if err != nil {
		s.shelf.release(r.size)
		s.notKept(r.key, err)
		return nil
	}
	f := &fetch{
		store: s, key: r.key, digest: r.digest, size: r.size, identity: r.identity,
		file: file, readers: 1, grown: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(s.running)
	f.cancel = cancel
	s.fetches[r.key] = f
	s.work.Go(func() { f.run(ctx) })
	return f
}

// leave is called once by each reader. Nobody waits for what the last of them leaves.
func (f *fetch) leave() {
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if f.readers--; f.readers > 0 {
		return
	}
	if !f.settled {
		f.cancel() // does nothing to one that has come whole
		return
	}
	_ = f.file.Close() // what was to be durable is
}

// run brings the blob in, and keeps it when it came whole.
func (f *fetch) run(ctx context.Context) {
	defer f.cancel()
	failed := f.receive(ctx)
	err := failed
	if err == nil {
		f.show(f.size, nil)
		err = f.file.Sync()
	}
	err = f.settle(err)
	if failed != nil {
		f.show(0, failed) // now that nobody joins it any more
	}
	if err != nil && ctx.Err() == nil {
		f.store.notKept(f.key, err)
	}
}

// settle puts the file where others find it, or removes it. From then on nobody joins.
func (f *fetch) settle(err error) error {
	s := f.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !f.unwanted {
		err = s.shelf.keep(f.key, f.file.Name(), f.size)
	} else {
		s.shelf.release(f.size)
	}
	err = errors.Join(err, s.shelf.discard(f.file))
	delete(s.fetches, f.key)
	if f.settled = true; f.readers == 0 {
		_ = f.file.Close() // what was to be durable is
	}
	return err
}

// receive copies the blob and verifies what came.
func (f *fetch) receive(ctx context.Context) error {
	from, err := f.store.Store.Open(ctx, f.key)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if err := isStill(from, f.identity); err != nil {
		return err
	}
	sum := f.hash()
	buffer := make([]byte, copyBuffer)
	for got := int64(0); ; {
		n, err := from.Read(buffer)
		if n > 0 {
			_, _ = sum.Write(buffer[:n]) // a hash never fails
			if _, err := f.file.Write(buffer[:n]); err != nil {
				return err
			}
			got += int64(n)
			f.store.metrics.fetched.Add(float64(n))
			// The last byte waits for the digest.
			f.show(min(got, f.size-1), nil)
		}
		if errors.Is(err, io.EOF) {
			return f.check(got, sum)
		}
		if err != nil {
			return err
		}
	}
}

// hash makes the hash that tells whether the right bytes came.
func (f *fetch) hash() hash.Hash {
	if f.digest == "" {
		return digest.SHA256.Hash()
	}
	return f.digest.Algorithm().Hash()
}

func (f *fetch) check(got int64, sum hash.Hash) error {
	if got != f.size {
		return fmt.Errorf("%d of %d bytes came: %w", got, f.size, io.ErrUnexpectedEOF)
	}
	if f.digest == "" {
		return nil
	}
	if d := digest.NewDigest(f.digest.Algorithm(), sum); d != f.digest {
		return &blob.MismatchError{Want: f.digest, Got: d}
	}
	return nil
}

// show lets readers have bytes, or tells them why no more come.
func (f *fetch) show(bytes int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err == nil {
		f.shown = bytes
	}
	close(f.grown)
	f.grown = make(chan struct{})
}

// readAt reads what is there, and waits for it when it comes soon. An error is the
// context's, or says why the fetch is of no use to this reader.
func (f *fetch) readAt(ctx context.Context, p []byte, offset int64) (int, error) {
	for {
		f.mu.Lock()
		shown, err, grown := f.shown, f.err, f.grown
		f.mu.Unlock()
		if offset < shown {
			return f.file.ReadAt(p[:min(int64(len(p)), shown-offset)], offset)
		}
		if err != nil {
			return 0, err
		}
		if offset > shown+reach {
			return 0, errFar
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// notKept says why a blob does not come into the folder.
func (s *Store) notKept(key string, err error) {
	s.metrics.failures.Inc()
	s.log.Warn("a hot blob is not kept locally and is read from storage again", "key", key, "error", err)
}
