package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	pushers = 5
	pullers = 2
)

// actor is a client of the server that is killed.
type actor interface {
	work(ctx context.Context, killed *atomic.Bool, done *atomic.Int64) error
	settle(ctx context.Context, all bool) (looked int, err error)
	use(*client)
}

func (p *pusher) use(c *client) { p.client = c }
func (p *puller) use(c *client) { p.client = c }

// aged is what an actor does when all that is stored has become old.
type aged interface{ aged() }

func (p *pusher) aged() { p.shelf.aged() }

// carnage is one run of kills.
type carnage struct {
	t      *testing.T
	server *server
	hub    *hubsim.Hub
	rng    *rand.Rand
	actors []actor
	// collector is one of them.
	collector *collector

	startups []time.Duration
	done     atomic.Int64 // operations acknowledged
	looked   int          // blobs, manifests and images read back and compared
}

func TestWhatWasAcknowledgedSurvivesAnyKill(t *testing.T) {
	hub := newHub(t, hubsim.Options{BlobBandwidth: 4 << 20})
	c := &carnage{t: t, hub: hub, rng: choices(t, 0), server: newServer(t, filepath.Join(t.TempDir(), "data"), hub), collector: &collector{}}
	c.populate()
	count, limit := rounds(t)
	began, round := time.Now(), 0
	for ; round < count && (limit == 0 || time.Since(began) < limit); round++ {
		c.killMidway()
		if c.rng.IntN(4) == 0 {
			c.killWhileStarting()
		}
		c.startAndSettle(false)
		if t.Failed() {
			t.Fatalf("failed in round %d", round+1)
		}
	}
	c.withoutTheHub()
	c.collectEverything()
	slices.Sort(c.startups)
	t.Logf("%d rounds, %d operations acknowledged, %d read back and compared; %d collected; start-up median %s, max %s",
		round, c.done.Load(), c.looked, c.collector.removed.Load(),
		c.startups[len(c.startups)/2].Round(time.Millisecond), c.startups[len(c.startups)-1].Round(time.Millisecond))
}

// populate starts the server for the first time and pushes what all pushers share.
func (c *carnage) populate() {
	c.t.Helper()
	var common []content
	for range 6 {
		common = append(common, newContent(c.rng.Uint64(), 1+c.rng.Int64N(500_000)))
	}
	base := &pusher{shelf: newShelf("demo/base"), rng: choices(c.t, 1), common: common, base: "demo/base"}
	base.use(c.server.start())
	for _, blob := range common {
		base.shelf.blobSent(blob.digest)
		if err := base.postWhole(c.t.Context(), blob); err != nil {
			c.t.Fatal(err)
		}
		base.shelf.blobKept(blob.digest)
	}
	if err := base.pushManifest(c.t.Context(), newImage(common[0], common[1:]...)); err != nil {
		c.t.Fatal(err) // without it, a collector would take them
	}
	for i := range uint64(pushers) {
		p := &pusher{shelf: newShelf(fmt.Sprintf("demo/app%d", i)), rng: choices(c.t, 2+i), common: common, base: base.shelf.repository}
		p.shelf.collected = true
		c.actors = append(c.actors, p)
	}
	for i := range uint64(pullers) {
		c.actors = append(c.actors, newPuller(c.hub, fmt.Sprintf("library/app%d", i), choices(c.t, 100+i)))
	}
	c.actors = append(c.actors, c.collector)
	c.startAndSettle(false)
}

// killMidway lets everybody work for a moment and kills the server.
func (c *carnage) killMidway() {
	c.t.Helper()
	var killed atomic.Bool
	var working sync.WaitGroup
	for _, a := range c.actors {
		working.Go(func() {
			if err := a.work(c.t.Context(), &killed, &c.done); err != nil {
				c.t.Error(err)
			}
		})
	}
	time.Sleep(20*time.Millisecond + time.Duration(c.rng.Int64N(int64(700*time.Millisecond))))
	killed.Store(true)
	c.server.kill()
	working.Wait()
}

// killWhileStarting kills a server that is cleaning up after the last kill.
func (c *carnage) killWhileStarting() {
	c.t.Helper()
	c.server.launch()
	time.Sleep(time.Duration(c.rng.Int64N(int64(60 * time.Millisecond))))
	c.server.kill()
}

// startAndSettle starts the server and compares what it has with what everybody knows.
// All that is there is old afterwards.
func (c *carnage) startAndSettle(all bool) {
	c.t.Helper()
	c.server.kill()
	client := c.server.start()
	c.startups = append(c.startups, c.server.startup)
	left := leftBehind(c.t, c.server.data)
	if left.spools > 0 || left.uploads > 0 {
		c.t.Errorf("after the start there are %d files of spools and %d of uploads that nothing leads to", left.spools, left.uploads)
	}
	c.age()
	var looked atomic.Int64
	var settling sync.WaitGroup
	for _, a := range c.actors {
		a.use(client)
		settling.Go(func() {
			n, err := a.settle(c.t.Context(), all)
			looked.Add(int64(n))
			if err != nil {
				c.t.Error(err)
			}
		})
	}
	settling.Wait()
	c.looked += int(looked.Load())
	c.tellOfAge()
}

// age makes all that is there old enough to be collected.
func (c *carnage) age() {
	c.t.Helper()
	age(c.t, c.server.data)
	c.tellOfAge()
}

func (c *carnage) tellOfAge() {
	for _, a := range c.actors {
		if owner, ok := a.(aged); ok {
			owner.aged()
		}
	}
}

// collectEverything leaves nothing behind that metadata does not name. Files are
// collected when they were found twice.
func (c *carnage) collectEverything() {
	c.t.Helper()
	for range 2 {
		c.age()
		until(c.t, "a collection runs", func() bool {
			ran, err := c.collector.collect(c.t.Context())
			if err != nil {
				c.t.Fatal(err)
			}
			return ran
		})
	}
	if left := leftBehind(c.t, c.server.data); left.blobs > 0 || c.collector.removed.Load() == 0 {
		c.t.Errorf("%d were collected, and %d files of blobs that metadata does not name are left", c.collector.removed.Load(), left.blobs)
	}
	c.startAndSettle(true)
}

// withoutTheHub finds everything in place once more, when the hub could help no more.
func (c *carnage) withoutTheHub() {
	c.t.Helper()
	c.startAndSettle(true)
	c.server.stop() // what was pulled a moment ago may still be on its way to the disk
	c.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	c.startAndSettle(true)
}
