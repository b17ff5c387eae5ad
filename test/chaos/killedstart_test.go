package chaos_test

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	// shortKills is how long first processes are killed, unless the environment says how many.
	shortKills = 20 * time.Second
	// firstSteps make the folders and files that everything else is in.
	firstSteps = 16
	lifeSeed   = 500
)

// life is what a data folder goes through: a first process, which makes it and is killed,
// a second one, the loss of power, and a third.
type life struct {
	t             *testing.T
	disk          *recorder
	hub           *hubsim.Hub
	server        *server
	first, second content
	acknowledged  bool // the first was
}

// A process that is killed has left on the disk what it did not come to sync. The next one
// finds it there all the same, builds on it, and acknowledges.
func TestWhatIsAcknowledgedAfterAKillSurvivesAPowerLoss(t *testing.T) {
	t.Parallel()
	hub := newHub(t, hubsim.Options{})
	whole := newLife(t, hub)
	whole.endAfter(math.MaxInt)
	if !whole.acknowledged || whole.server.err != nil {
		t.Fatalf("the program that nobody kills ends with %v:\n%s", whole.server.err, whole.server.output)
	}
	count, limit := instants(t)
	limit = min(limit, shortKills)
	began, tried := time.Now(), 0
	for _, steps := range whole.kills() {
		if t.Failed() || count > 0 && tried == count || limit > 0 && time.Since(began) > limit {
			break
		}
		t.Run(fmt.Sprintf("killed after step %d", steps), func(t *testing.T) { newLife(t, hub).killedAfter(steps) })
		tried++
	}
	t.Logf("a first process takes %d steps; killed after %d of them", whole.disk.length(), tried)
}

func newLife(t *testing.T, hub *hubsim.Hub) *life {
	t.Helper()
	disk, folder := mountRecorder(t)
	rng := choices(t, lifeSeed+1)
	return &life{
		t: t, disk: disk, hub: hub, server: newServer(t, filepath.Join(folder, "above", "data"), hub),
		first: drawContent(rng), second: drawContent(rng),
	}
}

// kills are the steps of a whole life, in the order in which to try them.
func (l *life) kills() []int {
	steps := choices(l.t, lifeSeed).Perm(l.disk.length())
	slices.SortStableFunc(steps, func(a, b int) int { return cmp.Compare(min(a, firstSteps), min(b, firstSteps)) })
	for i := range steps {
		steps[i]++
	}
	return steps
}

// endAfter lets the first process push a blob and drain, or kills it after so many steps.
func (l *life) endAfter(steps int) {
	l.disk.killAfter(steps, l.server, func(url string) {
		if l.push(newClient(l.t, url), l.first) != nil {
			return
		}
		l.acknowledged = true
		_ = l.server.cmd.Process.Signal(syscall.SIGTERM)
		<-l.server.ended
	})
}

func (l *life) push(client *client, c content) error {
	p := &pusher{client: client, shelf: newShelf("demo/life")}
	return p.postWhole(l.t.Context(), c)
}

func (l *life) killedAfter(steps int) {
	l.t.Helper()
	l.endAfter(steps)
	if err := l.push(l.server.start(), l.second); err != nil {
		l.t.Fatal(err)
	}
	left := powerLoss(l.disk.before(l.disk.length()))
	l.disk.kill(l.server)

	folder := mountedMemory(l.t, "64m")
	if err := left.lay(folder); err != nil {
		l.t.Fatal(err)
	}
	third := newServer(l.t, filepath.Join(folder, "above", "data"), l.hub)
	client := third.start()
	for _, c := range l.kept() {
		if err := client.whole(l.t.Context(), "/v2/demo/life/blobs/"+c.digest.String()); err != nil {
			l.t.Error(err)
		}
	}
}

func (l *life) kept() []content {
	if l.acknowledged {
		return []content{l.first, l.second}
	}
	return []content{l.second}
}
