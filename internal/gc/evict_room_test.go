package gc_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

func TestWhatWasPulledWithinTheHourIsSparedUnlessTheDiskIsFull(t *testing.T) {
	p := newPantry(t, gc.Limit{Bytes: layer})
	p.now = time.Now().Add(30 * time.Minute)
	p.image(web, "1", "one", "two")
	p.ok(p.evictor.Check(t.Context()))
	p.left("hub/library/web:1")
	p.blobs.disk = 2 * layer
	if !p.evictor.MakeRoom(t.Context(), layer) {
		t.Error("no room was made")
	}
	p.left()
}

func TestNothingGoesForWhatWouldNotFitAllTheSame(t *testing.T) {
	p := newPantry(t, gc.Limit{})
	p.image(web, "1", "one", "two")
	p.image(ours, "1", "three")
	p.blobs.disk = p.used()
	if p.evictor.MakeRoom(t.Context(), 10*layer) {
		t.Error("there seems to be room")
	}
	p.left("hub/library/web:1", "demo/web:1")
	if !p.evictor.MakeRoom(t.Context(), layer) {
		t.Error("no room was made for what fits")
	}
	p.left("demo/web:1")
}

func TestManyWhoNeedRoomAtOnceShareOneEviction(t *testing.T) {
	p := newPantry(t, gc.Limit{})
	for _, name := range []string{"a", "b", "c"} {
		p.image(web, name, name)
	}
	p.blobs.disk = p.used()
	const all = 8
	var looked atomic.Int64
	everybody := make(chan struct{}) // has found the disk full
	p.evictor.Space = func() (gc.Space, error) {
		space, err := p.blobs.space()
		if looked.Add(1) == all {
			close(everybody)
		}
		<-everybody
		return space, err
	}
	var work sync.WaitGroup
	for range all {
		work.Go(func() {
			if !p.evictor.MakeRoom(t.Context(), 2*layer) {
				t.Error("no room was made")
			}
		})
	}
	work.Wait()
	if n := strings.Count(p.log.String(), "evicted cached images"); n != 1 {
		t.Errorf("%d evictions: %s", n, p.log)
	}
}

func TestABackupHoldsEvictionsOff(t *testing.T) {
	p := newPantry(t, gc.Limit{Bytes: layer})
	p.image(web, "1", "one", "two")
	p.blobs.disk = p.used()
	backup := gc.BackupLease()
	p.ok(p.db.Leases.Acquire(t.Context(), backup, time.Minute))
	p.ok(p.evictor.Check(t.Context()))
	if p.evictor.MakeRoom(t.Context(), layer) {
		t.Error("room was made while a backup ran")
	}
	p.left("hub/library/web:1")
	p.ok(p.db.Leases.Release(t.Context(), backup.Name, backup.Holder))
	if !p.evictor.MakeRoom(t.Context(), layer) {
		t.Error("no room was made when the backup had ended")
	}
	p.left()
}

func TestRoomIsMadeWhileACollectorRuns(t *testing.T) {
	p := newPantry(t, gc.Limit{})
	p.image(web, "1", "one")
	p.blob(ours, "nobody's") // the collector finds it
	p.blobs.disk = p.used()
	collector := &gc.Collector{
		Sweeper: p.evictor.Sweeper, Now: func() time.Time { return p.now }, Metrics: gc.NewMetrics(prometheus.NewRegistry()),
	}
	collecting := false
	_, err := collector.Collect(t.Context(), gc.Options{Each: func(gc.Item) error {
		if !collecting && !p.evictor.MakeRoom(t.Context(), layer) {
			t.Error("no room was made")
		}
		collecting = true
		return nil
	}})
	p.ok(err)
	if !collecting {
		t.Error("nothing was collected")
	}
	p.left()
}

func TestAWriteThatIsRefusedThoughBytesAreFreeEvictsALittle(t *testing.T) {
	p := newPantry(t, gc.Limit{})
	for i, name := range []string{"a", "b", "c", "d"} {
		p.pulled(web, p.image(web, name, name), 20-i)
	}
	p.blobs.disk = 30 * layer // of which a twentieth is a layer and a half
	if !p.evictor.MakeRoom(t.Context(), 1) {
		t.Error("no room was made within a quota")
	}
	p.left("hub/library/web:c", "hub/library/web:d")
	for range 2 {
		p.evictor.MakeRoom(t.Context(), 1)
	}
	p.left()
	if p.evictor.MakeRoom(t.Context(), 1) {
		t.Error("there is said to be room when nothing is left to evict")
	}
}

func TestBytesThatWentBeforeTheirRowsCountAlsoWhenTheImageStays(t *testing.T) {
	tests := []struct {
		name      string
		meanwhile func(*pantry, v1.Descriptor)
		left      []string
	}{
		{"it stays", func(p *pantry, m v1.Descriptor) { p.pulled(web, m, 0) }, []string{"hub/library/web:1"}},
		{"it goes", func(*pantry, v1.Descriptor) {}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPantry(t, gc.Limit{})
			m := p.image(web, "1", "one")
			p.blobs.disk = p.used()
			free := metadatatest.UseUp(t, p.file, "DELETE ON manifest_links")
			p.blobs.deleted = sync.OnceFunc(func() {
				free()
				tt.meanwhile(p, m)
			})
			if !p.evictor.MakeRoom(t.Context(), 1) {
				t.Error("room was made, and nobody is told")
			}
			p.left(tt.left...)
			want := fmt.Sprintf("# TYPE larder_evicted_bytes_total counter\nlarder_evicted_bytes_total %d\n", p.blobs.disk)
			p.ok(testutil.GatherAndCompare(p.to, strings.NewReader("# HELP larder_evicted_bytes_total Bytes that were freed by evicting cached images.\n"+want), "larder_evicted_bytes_total"))
		})
	}
}

func TestWithObjectStorageNoRoomIsMadeByEvicting(t *testing.T) {
	p := newPantry(t, gc.Limit{})
	p.image(web, "1", "one")
	p.evictor.Space = nil
	if p.evictor.MakeRoom(t.Context(), 1) {
		t.Error("room was made")
	}
	p.left("hub/library/web:1")
}
