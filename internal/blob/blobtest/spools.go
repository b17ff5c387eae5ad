package blobtest

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

func spools(t *testing.T, open Open) {
	t.Run("readers at all offsets follow the writer", func(t *testing.T) { followers(t, open) })
	t.Run("reads go on after the commit", func(t *testing.T) { readAfterCommit(t, open) })
	t.Run("reads go on after the commit of a blob that is kept already", func(t *testing.T) { readAfterSecondCommit(t, open) })
	t.Run("reads go on after a cancel, and nothing is kept", func(t *testing.T) { readAfterCancel(t, open) })
	t.Run("a digest that does not match leaves nothing", func(t *testing.T) { mismatchedSpool(t, open) })
	t.Run("a spool hashed with one algorithm is verified by the other", func(t *testing.T) { verifiedByOther(t, open) })
	t.Run("a spool that is only closed leaves nothing", func(t *testing.T) { onlyClosed(t, open) })
}

// growth tells readers how much has been written.
type growth struct {
	mu      sync.Mutex
	changed *sync.Cond
	written int64
}

func newGrowth() *growth {
	g := &growth{}
	g.changed = sync.NewCond(&g.mu)
	return g
}

func (g *growth) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.written += int64(n)
	g.changed.Broadcast()
}

// past waits for bytes beyond an offset and returns how many there are.
func (g *growth) past(offset int64) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.written <= offset {
		g.changed.Wait()
	}
	return g.written - offset
}

// follow reads the spool from an offset to the end of want, each time what is
// there.
func follow(spool blob.Spool, grown *growth, offset int64, want []byte) error {
	buf := make([]byte, 10_007)
	for offset < int64(len(want)) {
		n := min(int64(len(buf)), grown.past(offset))
		if got, err := spool.ReadAt(buf[:n], offset); int64(got) != n {
			return fmt.Errorf("ReadAt of %d bytes at %d: %d bytes, %w", n, offset, got, err)
		}
		if !bytes.Equal(buf[:n], want[offset:offset+n]) {
			return fmt.Errorf("ReadAt at %d returns other bytes than were written", offset)
		}
		offset += n
	}
	return nil
}

// followers reads from many offsets while the writer writes and commits.
func followers(t *testing.T, open Open) {
	const (
		size    = 1<<20 + 7
		readers = 50
	)
	store := open(t, t.TempDir())
	p := content(11, size)
	spool := newSpool(t, store)
	grown := newGrowth()
	var reading sync.WaitGroup
	for i := range int64(readers) {
		reading.Go(func() {
			if err := follow(spool, grown, i*(size-1)/(readers-1), p); err != nil {
				t.Error(err)
			}
		})
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), 4093)
		if _, err := spool.Write(rest[:n]); err != nil {
			t.Errorf("Write: %v", err)
		}
		rest = rest[n:]
		grown.add(n)
	}
	key, err := commitSpool(t, spool, digest.FromBytes(p))
	if err != nil {
		t.Errorf("Commit: %v", err)
	}
	reading.Wait()
	closeSpool(t, spool)
	wantBlob(t, store, key, p)
}

func newSpool(t *testing.T, store blob.Store) blob.Spool {
	t.Helper()
	spool, err := store.Spool(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatalf("Spool: %v", err)
	}
	return spool
}

func commitSpool(t *testing.T, spool blob.Spool, want digest.Digest) (string, error) {
	t.Helper()
	if err := spool.Verify(want); err != nil {
		t.Errorf("Verify: %v", err)
	}
	return spool.Commit(t.Context(), want)
}

// wantSpool fails the test unless the spool reads as exactly these bytes.
func wantSpool(t *testing.T, spool blob.Spool, want []byte) {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(spool, 0, int64(len(want))+1))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the spool reads as %d bytes, %v; want the %d bytes written", len(got), err, len(want))
	}
}

func closeSpool(t *testing.T, spool blob.Spool) {
	t.Helper()
	if err := spool.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func readAfterCommit(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	for _, size := range []int{0, 100_000, severalParts} {
		p := content(7, size)
		spool := newSpool(t, store)
		write(t, spool, p)
		key, err := commitSpool(t, spool, digest.FromBytes(p))
		if err != nil {
			t.Fatalf("Commit of %d bytes: %v", size, err)
		}
		wantSpool(t, spool, p)
		closeSpool(t, spool)
		wantBlob(t, store, key, p)
	}
}

func readAfterSecondCommit(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	p := content(8, 100_000)
	put(t, store, p)
	spool := newSpool(t, store)
	write(t, spool, p)
	key, err := commitSpool(t, spool, digest.FromBytes(p))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantSpool(t, spool, p)
	closeSpool(t, spool)
	wantBlob(t, store, key, p)
}

func readAfterCancel(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	for _, size := range []int{100_000, severalParts} {
		p := content(9, size)
		spool := newSpool(t, store)
		write(t, spool, p)
		for range 2 {
			if err := spool.Cancel(t.Context()); err != nil {
				t.Fatalf("Cancel after %d bytes: %v", size, err)
			}
		}
		wantSpool(t, spool, p)
		closeSpool(t, spool)
	}
	wantNoBlobs(t, store)
}

func mismatchedSpool(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		spool := newSpool(t, store)
		write(t, spool, []byte("what came"))
		want, got := alg.FromString("what was promised"), alg.FromString("what came")
		wantMismatch(t, spool.Verify(want), want, got)
		_, err := spool.Commit(t.Context(), want)
		wantMismatch(t, err, want, got)
		wantSpool(t, spool, []byte("what came"))
		closeSpool(t, spool)
	}
	wantNoBlobs(t, store)
}

func verifiedByOther(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	spool := newSpool(t, store)
	write(t, spool, []byte("part"))
	if err := spool.Verify(digest.SHA512.FromString("part")); err != nil {
		t.Errorf("Verify of a part: %v", err)
	}
	write(t, spool, []byte(" and rest"))
	p := []byte("part and rest")
	key, err := commitSpool(t, spool, digest.SHA512.FromBytes(p))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	closeSpool(t, spool)
	wantBlob(t, store, key, p)
}

func onlyClosed(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	spool := newSpool(t, store)
	write(t, spool, content(10, severalParts))
	closeSpool(t, spool)
	wantNoBlobs(t, store)
}
