package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// telling is two ledgers, of which the one's hints are heard by the other.
type telling struct {
	one, other *Ledger
	hints      atomic.Int64
	broken     atomic.Bool
}

func newTelling() *telling {
	t := &telling{other: withMetrics(Config{})}
	t.one = withMetrics(Config{Tell: func(_ context.Context, hint string) error {
		if t.broken.Load() {
			return errors.New("the database is away")
		}
		t.hints.Add(1)
		t.other.Hear(hint)
		return nil
	}})
	return t
}

func withMetrics(c Config) *Ledger {
	c.Metrics, c.Log = NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler)
	return New(c)
}

// expects lists what tags of library/nginx the other one expects, and for which namespaces.
func (t *telling) expects() (all []string) {
	for _, a := range t.other.coming.by[comingKey{"hub", "library/nginx"}] {
		all = append(all, a.Tag+" for "+a.Namespace+" "+a.Workload)
	}
	return all
}

func (t *telling) announce(tag, namespace string) {
	t.one.Announce(Coming{Upstream: "hub", Repository: "library/nginx", Tag: tag, Namespace: namespace, Workload: "Pod/x"})
}

func TestOtherReplicasAreToldWhatIsComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := newTelling()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); told.one.untold.Run(ctx) }()
		told.announce("1", "shop")
		told.announce("1", "demo")
		told.announce("1", "shop") // again, and so the latest
		if told.hints.Load() != 0 {
			t.Error("who announces waits for others to be told")
		}
		time.Sleep(tellEvery)
		synctest.Wait()
		if diff := cmp.Diff([]string{"1 for demo Pod/x", "1 for shop Pod/x"}, told.expects()); diff != "" {
			t.Errorf("the other one expects (-want +got):\n%s", diff)
		}
		call := told.other.attributed(upstream.Call{Upstream: "hub", Repository: "library/nginx", Reference: "1"})
		if call.For.Namespace != "shop" || told.hints.Load() != 1 {
			t.Errorf("a call is for %q, after %d hints", call.For.Namespace, told.hints.Load())
		}
		told.broken.Store(true)
		told.announce("2", "shop")
		time.Sleep(tellWithin - tellEvery)
		told.announce("3", "shop")
		time.Sleep(2 * tellEvery)
		told.broken.Store(false)
		time.Sleep(tellEvery)
		synctest.Wait()
		if diff := cmp.Diff([]string{"1 for demo Pod/x", "1 for shop Pod/x", "3 for shop Pod/x"}, told.expects()); diff != "" {
			t.Errorf("after the database was away the other one expects (-want +got):\n%s", diff)
		}
		stop()
		<-ended
	})
}

func TestHintsAreFewAndBounded(t *testing.T) {
	told := newTelling()
	for i := range maxUntold + 1 {
		told.announce(fmt.Sprint(i), strings.Repeat("n", 200))
	}
	if err := told.one.untold.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The last one was too many, and of the others so many are kept.
	if got := told.expects(); len(got) != maxComingEach || !strings.HasPrefix(got[maxComingEach-1], fmt.Sprint(maxUntold-1)) {
		t.Errorf("the other one expects %d pulls, the last of them %.20s", len(got), got[len(got)-1])
	}
	if n := told.hints.Load(); n > 20 {
		t.Errorf("%d pulls took %d hints", maxUntold, n)
	}
}

func TestAHintIsNoLongerThanTheDatabaseTakes(t *testing.T) {
	var all []Coming
	for i := range 100 {
		all = append(all, Coming{Repository: strings.Repeat("r", 3*i)})
	}
	all[50].Repository = strings.Repeat("\x00", maxComingText) // six bytes each, as JSON has it
	all[51] = Coming{Repository: all[50].Repository, Upstream: all[50].Repository, Namespace: all[50].Repository, Workload: all[50].Repository, Tag: all[50].Repository}
	heard := withMetrics(Config{})
	for _, hint := range pack(all, metadata.MaxHint) {
		if len(hint) > metadata.MaxHint {
			t.Errorf("a hint has %d bytes", len(hint))
		}
		heard.Hear(hint + "{of a later version\n")
	}
	if got := len(heard.coming.by); got != 99 {
		t.Errorf("%d repositories are expected", got)
	}
}
