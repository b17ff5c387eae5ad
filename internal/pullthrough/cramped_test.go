package pullthrough_test

import (
	"context"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/pullthrough"
)

// disk is a store on a disk with so much room, in bytes, and what can be evicted there.
type disk struct {
	blob.Store
	mu        sync.Mutex
	room      int64
	evictable int64
	measured  bool
	asked     []int64 // how much room was to be made, each time
}

func (d *disk) take(bytes int) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n = int(min(int64(bytes), d.room))
	d.room -= int64(n)
	return n
}

func (d *disk) Spool(ctx context.Context, alg digest.Algorithm) (blob.Spool, error) {
	if d.take(1) == 0 {
		return nil, &os.PathError{Op: "open", Path: "spool/A", Err: syscall.ENOSPC}
	}
	spool, err := d.Store.Spool(ctx, alg)
	return &onDisk{spool, d}, err
}

// MakeRoom is what an evictor does.
func (d *disk) MakeRoom(_ context.Context, bytes int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, bytes)
	made := d.evictable
	d.room, d.evictable = d.room+made, 0
	return made > 0
}

// Free is known to the test of what is known beforehand.
func (d *disk) Free() (int64, bool) { return d.room, d.measured }

type onDisk struct {
	blob.Spool
	disk *disk
}

func (s *onDisk) Write(p []byte) (int, error) {
	n := s.disk.take(len(p))
	written, err := s.Spool.Write(p[:n])
	if err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: "spool/A", Err: syscall.EDQUOT}
	}
	return written, err
}

// crampedBench is a bench on that disk, which passes through with so much memory for one
// blob and for all; 0 is what is usual.
func crampedBench(t *testing.T, d *disk, window, memory int64) *bench {
	t.Helper()
	return newBenchOn(t, func(files blob.Store) blob.Store { d.Store = files; return d }, func(c *pullthrough.FillsConfig) {
		c.Window, c.Memory, c.Room = window, memory, d
		c.Pace = time.Minute // on a busy machine a fast reader, too, may stand still for a while
	})
}

// cramped is a simulated Docker Hub with a cache of it on such a bench.
func cramped(t *testing.T, d *disk, window, memory int64, options hubsim.Options) (*bench, *hubsim.Hub, *pullthrough.Cache) {
	t.Helper()
	return dockerOn(crampedBench(t, d, window, memory), options)
}
