package chaos_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	recordedPushers = 3
	// recordedWork is how much is acknowledged in each of the parts of a recorded run.
	recordedWork = 12
	// pulledAgain is how many of the cached images are pulled after each power loss.
	pulledAgain = 2
	// shortInstants is how many power losses there are, unless the environment says
	// otherwise, or as many as fit into shortLosses.
	shortInstants = 60
	shortLosses   = 2 * time.Minute
)

// recording is a run of the program on a file system that writes everything down.
type recording struct {
	t       *testing.T
	disk    *recorder
	hub     *hubsim.Hub
	server  *server
	rng     *rand.Rand
	pushers []*pusher // the first has what the others share
	puller  *puller
	known   [][]knowledge // by pusher
	settled []int         // steps after which a start was found to have kept everything
}

// knowledge is what a pusher knew when so many steps had been recorded.
type knowledge struct {
	steps int
	shelf *shelf
}

func TestWhatWasAcknowledgedSurvivesAPowerLoss(t *testing.T) {
	t.Parallel()
	r := record(t)
	all := &losses{recording: r, folder: mountedMemory(t, "1g")}
	count, limit := instants(t)
	began, tried := time.Now(), 0
	for _, instant := range r.choose(count) {
		if limit > 0 && time.Since(began) > limit {
			break
		}
		for _, kept := range []bool{false, true} {
			what := "with all lost that was not synced"
			if kept {
				what = "with some kept that was not synced"
			}
			t.Run(fmt.Sprintf("after step %d %s", instant, what), func(t *testing.T) { all.at(t, instant, kept) })
		}
		tried++
		if t.Failed() {
			break
		}
	}
	t.Logf("%d steps recorded, %d power losses of each kind, %d blobs, manifests and images read back and compared",
		r.disk.length(), tried, all.looked)
}

// record runs the program through a first start that is killed, work, a kill, a drained
// end, and the starts after each.
func record(t *testing.T) *recording {
	t.Helper()
	hub := newHub(t, hubsim.Options{})
	disk, folder := mountRecorder(t)
	r := &recording{t: t, disk: disk, hub: hub, rng: choices(t, 400), server: newServer(t, filepath.Join(folder, "data"), hub)}
	r.server.launch()
	time.Sleep(time.Duration(r.rng.Int64N(int64(200 * time.Millisecond))))
	r.server.kill()
	r.populate()
	r.work(true)
	r.work(false)
	r.work(true)
	r.settle()
	r.server.stop()
	return r
}

// populate pushes what all pushers share.
func (r *recording) populate() {
	r.t.Helper()
	var common []content
	for range 4 {
		common = append(common, newContent(r.rng.Uint64(), 1+r.rng.Int64N(100_000)))
	}
	for i := range uint64(recordedPushers + 1) {
		p := &pusher{shelf: newShelf(fmt.Sprintf("demo/lost%d", i)), rng: choices(r.t, 401+i), common: common, base: "demo/lost0"}
		p.shelf.changed = func() { r.remember(int(i)) }
		r.pushers, r.known = append(r.pushers, p), append(r.known, []knowledge{{0, newShelf(p.shelf.repository)}})
	}
	r.puller = newPuller(r.hub, "library/lost", choices(r.t, 450))
	base := r.pushers[0]
	base.use(r.server.start())
	for _, blob := range common {
		base.shelf.blobSent(blob.digest)
		if err := base.postWhole(r.t.Context(), blob); err != nil {
			r.t.Fatal(err)
		}
		base.shelf.blobKept(blob.digest)
	}
	r.server.stop()
}

// remember is called by the pusher itself whenever it knows something new.
func (r *recording) remember(pusher int) {
	r.known[pusher] = append(r.known[pusher], knowledge{r.disk.length(), r.pushers[pusher].shelf.clone()})
}

// work starts the server, lets everybody work, and ends it by a kill or as its
// operator does.
func (r *recording) work(killed bool) {
	r.t.Helper()
	r.settle()
	var ending atomic.Bool
	var done atomic.Int64
	var working sync.WaitGroup
	for _, a := range r.actors() {
		working.Go(func() {
			if err := a.work(r.t.Context(), &ending, &done); err != nil {
				r.t.Error(err)
			}
		})
	}
	until(r.t, "enough was acknowledged", func() bool { return r.t.Failed() || done.Load() >= recordedWork })
	ending.Store(true)
	if killed {
		r.disk.kill(r.server)
	} else {
		r.server.stop()
	}
	working.Wait()
}

// actors are all but the pusher of what the others share.
func (r *recording) actors() []actor {
	var all []actor
	for _, p := range r.pushers[1:] {
		all = append(all, p)
	}
	return append(all, r.puller)
}

// settle starts the server and makes certain what the clients are unsure of.
func (r *recording) settle() {
	r.t.Helper()
	client := r.server.start()
	for _, a := range r.actors() {
		a.use(client)
		if _, err := a.settle(r.t.Context(), false); err != nil {
			r.t.Fatal(err)
		}
		r.settled = append(r.settled, r.disk.length())
	}
}

// choose draws instants: those when a client has just looked at what a start has found,
// and of the others half at once after an acknowledgment. 0 is all.
func (r *recording) choose(count int) []int {
	var all, acknowledged []int
	for i := range r.disk.length() + 1 {
		all = append(all, i)
	}
	if count == 0 || count >= len(all) {
		return all
	}
	for _, known := range r.known {
		for _, k := range known {
			acknowledged = append(acknowledged, k.steps)
		}
	}
	chosen := map[int]bool{}
	for _, i := range r.settled {
		chosen[i] = true
	}
	for draw := 0; len(chosen) < count; draw++ {
		from := all
		if draw%2 == 0 {
			from = acknowledged
		}
		chosen[from[r.rng.IntN(len(from))]] = true
	}
	instants := slices.Collect(maps.Keys(chosen))
	slices.Sort(instants)
	r.rng.Shuffle(len(instants), func(i, j int) { instants[i], instants[j] = instants[j], instants[i] })
	return instants
}

// losses are the power losses that a recorded run is put through.
type losses struct {
	*recording
	folder string
	looked int
}

// at starts the program on what a power loss after so many steps leaves, and finds all
// that had been acknowledged.
func (l *losses) at(t *testing.T, instant int, keepSome bool) {
	rng := rand.New(rand.NewPCG(seed(t), uint64(instant)))
	disk := powerLoss(l.disk.before(instant))
	if keepSome {
		disk.keepSome(rng)
	}
	folder, err := os.MkdirTemp(l.folder, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := disk.lay(folder); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, filepath.Join(folder, "data"), l.hub)
	client := s.start()
	if left := leftBehind(t, s.data); left.spools > 0 || left.uploads > 0 {
		t.Errorf("after the start there are %d files of spools and %d of uploads that nothing leads to", left.spools, left.uploads)
	}
	for i := range l.pushers {
		if err := l.settlePusher(t.Context(), i, instant, client, rng); err != nil {
			t.Error(err)
		}
	}
	if err := l.pullAgain(t.Context(), client, rng); err != nil {
		t.Error(err)
	}
}

// settlePusher compares the server with what a pusher knew, and goes on pushing.
func (l *losses) settlePusher(ctx context.Context, i, instant int, client *client, rng *rand.Rand) error {
	p := *l.pushers[i]
	p.client, p.rng, p.shelf = client, rng, l.knewAt(i, instant).clone()
	looked, err := p.settle(ctx, true)
	l.looked += looked
	if err == nil && p.shelf.upload != nil {
		err = p.goOn(ctx)
	}
	if err == nil && i == 0 {
		err = p.postWhole(ctx, drawContent(rng))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.shelf.repository, err)
	}
	return nil
}

// knewAt is the last thing that a pusher knew before the instant.
func (r *recording) knewAt(pusher, instant int) *shelf {
	known := r.known[pusher]
	after, _ := slices.BinarySearchFunc(known, instant+1, func(k knowledge, steps int) int { return cmp.Compare(k.steps, steps) })
	return known[after-1].shelf
}

func (l *losses) pullAgain(ctx context.Context, client *client, rng *rand.Rand) error {
	p := *l.puller
	p.use(client)
	names := slices.Sorted(maps.Keys(p.images))
	for range min(pulledAgain, len(names)) {
		if err := p.pull(ctx, names[rng.IntN(len(names))]); err != nil {
			return err
		}
		l.looked++
	}
	return nil
}
