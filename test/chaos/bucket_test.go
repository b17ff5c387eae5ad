package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	shortTurns = 4
	// keptSize is how large the cache of the replicas may grow, in bytes.
	keptSize = 4 << 20
)

// worker is a client that does one thing after the other.
type worker interface {
	step(ctx context.Context) error
	settle(ctx context.Context, all bool) (looked int, err error)
	use(*client)
}

// step collects unless another collection runs.
func (c *collector) step(ctx context.Context) error {
	_, err := c.collect(ctx)
	return err
}

// shared is a bucket that two replicas fill and empty, one of which goes from time to
// time.
type shared struct {
	*replicas
	db         *pgx.Conn
	rng        *rand.Rand
	workers    []worker
	collectors []*collector
	done       atomic.Int64 // steps
	looked     int          // blobs, manifests and images read back and compared
	evicted    int64        // images
	markers    int
	swapped    bool // who worked at one replica works at the other
}

func TestTwoReplicasCollectAndEvictOneBucketWhileEverybodyWorks(t *testing.T) {
	t.Parallel()
	s := newShared(t, os.Getenv(binaryVariable))
	turns := shortTurns
	if os.Getenv(roundsVariable) != "" {
		turns, _ = rounds(t)
	}
	for turn := range turns {
		s.turn([]*server{s.a, s.b}[turn%2], turn%4 < 2)
		s.settle(false)
		if t.Failed() {
			t.Fatalf("failed in turn %d", turn+1)
		}
	}
	s.holdToSize()
	s.wantOnlyWhatIsNamed()
	s.goOn()
	s.settle(true)
	removed := s.collectors[0].removed.Load() + s.collectors[1].removed.Load()
	t.Logf("%d turns, %d steps, %d read back and compared; %d collected, %d images evicted", turns, s.done.Load(), s.looked, removed, s.evicted)
	if removed == 0 || s.evicted == 0 {
		t.Errorf("%d were collected and %d images evicted, which shows nothing", removed, s.evicted)
	}
}

func newShared(t *testing.T, program string) *shared {
	t.Helper()
	hub := newHub(t, hubsim.Options{BlobBandwidth: 8 << 20})
	s := &shared{replicas: startReplicas(t, hub, fmt.Sprintf("cacheSize: %dB\n", keptSize), program), rng: choices(t, 600)}
	var err error
	if s.db, err = pgx.Connect(t.Context(), s.database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close(context.WithoutCancel(t.Context())) })
	common := []content{drawContent(s.rng), drawContent(s.rng), drawContent(s.rng)}
	for i := range uint64(3) {
		p := &pusher{shelf: newShelf(fmt.Sprintf("demo/shared%d", i)), rng: choices(t, 610+i), common: common}
		p.base, p.shelf.collected = p.shelf.repository, true
		s.workers = append(s.workers, p)
	}
	for i := range uint64(2) {
		p, c := newPuller(hub, fmt.Sprintf("library/shared%d", i), choices(t, 620+i)), &collector{}
		p.retries = true
		s.workers = append(s.workers, p, c)
		s.collectors = append(s.collectors, c)
	}
	return s
}

// turn lets everybody work, each at one of the replicas, while one of them goes and
// comes back.
func (s *shared) turn(goes *server, killed bool) {
	s.t.Helper()
	s.age()
	var over, gone atomic.Bool
	var working sync.WaitGroup
	for i, w := range s.workers {
		at := s.at(i)
		w.use(s.clientOf(at))
		working.Go(func() { s.work(w, &over, &gone, at == goes) })
	}
	before := s.done.Load()
	comesTrue(s.t, "they work", func() bool { return s.done.Load() >= before+30 || s.t.Failed() })
	gone.Store(true)
	if killed {
		goes.kill()
	} else {
		goes.stop()
	}
	goes.start()
	before = s.done.Load()
	comesTrue(s.t, "they work at the other", func() bool { return s.done.Load() >= before+30 || s.t.Failed() })
	over.Store(true)
	working.Wait()
	s.evicted += s.evictedBy(goes)
}

// at is where a worker works.
func (s *shared) at(worker int) *server {
	if (worker%2 == 0) == s.swapped {
		return s.b
	}
	return s.a
}

// work does one thing after the other until that is over, or what it is done at is gone.
func (s *shared) work(w worker, over, gone *atomic.Bool, atGone bool) {
	for !over.Load() {
		err := w.step(s.t.Context())
		switch {
		case err == nil:
			s.done.Add(1)
		case atGone && gone.Load() && !isRefusal(err):
			return
		default:
			s.t.Errorf("%T: %v", w, err)
			return
		}
	}
}

// evictedBy is how many images a replica has evicted since its start.
func (s *shared) evictedBy(at *server) int64 {
	s.t.Helper()
	metrics := wants(s.t, s.clientOf(at), http.StatusOK, request{method: http.MethodGet, path: "/metrics", keep: 1 << 20})
	found := regexp.MustCompile(`(?m)^larder_evicted_images_total (\d+)$`).FindSubmatch(metrics.body)
	if found == nil {
		s.t.Fatal("the metrics do not tell what was evicted")
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// age makes all that is there old enough to be collected and evicted, and what a replica
// that was killed had begun no hindrance.
func (s *shared) age() {
	s.t.Helper()
	for _, change := range []string{
		"UPDATE blobs SET stored_at = 1", "UPDATE blob_links SET used_at = 1", "UPDATE orphans SET seen_at = 1",
		"UPDATE manifest_links SET pushed_at = 1, pulled_at = 1", "DELETE FROM leases WHERE name IN ('collect', 'evict')",
	} {
		comesTrue(s.t, change, func() bool { // it may be a replica's deadlock with this
			_, err := s.db.Exec(s.t.Context(), change)
			return err == nil
		})
	}
	for _, w := range s.workers {
		if owner, ok := w.(aged); ok {
			owner.aged()
		}
	}
}

// goOn ends the uploads that were begun.
func (s *shared) goOn() {
	s.t.Helper()
	for _, w := range s.workers {
		p, pushes := w.(*pusher)
		if !pushes || p.shelf.upload == nil {
			continue
		}
		p.use(s.clientOf(s.b))
		if err := p.goOn(s.t.Context()); err != nil {
			s.t.Errorf("%s: %v", p.shelf.repository, err)
		}
	}
}

// settle compares what each replica has with what everybody knows.
func (s *shared) settle(all bool) {
	s.t.Helper()
	a, b := s.clientOf(s.a), s.clientOf(s.b)
	s.changesAreSeen(a, b)
	s.changesAreSeen(b, a)
	for _, at := range []*client{a, b} {
		var settling sync.WaitGroup
		var looked atomic.Int64
		for _, w := range s.workers {
			w.use(at)
			settling.Go(func() {
				n, err := w.settle(s.t.Context(), all)
				looked.Add(int64(n))
				if err != nil {
					s.t.Errorf("at %s: %v", at.base, err)
				}
			})
		}
		settling.Wait()
		s.looked += int(looked.Load())
	}
}

// changesAreSeen waits until one replica sees a change of the other, and with it all that
// came before.
func (s *shared) changesAreSeen(from, to *client) {
	s.t.Helper()
	s.markers++
	config := newContent(uint64(s.markers), 100)
	marker := newImage(config)
	wants(s.t, from, http.StatusCreated, request{
		method: http.MethodPost, path: "/v2/demo/marker/blobs/uploads/?digest=" + config.digest.String(), body: config.reader(0), size: config.size,
	})
	const manifest = "/v2/demo/marker/manifests/latest"
	wants(s.t, from, http.StatusCreated, request{
		method: http.MethodPut, path: manifest, body: strings.NewReader(string(marker.raw)), size: int64(len(marker.raw)),
		header: map[string]string{"Content-Type": marker.mediaType},
	})
	comesTrue(s.t, "a change is seen at the other replica", func() bool {
		got, err := to.get(s.t.Context(), manifest)
		return err == nil && got.digest == marker.digest
	})
}
