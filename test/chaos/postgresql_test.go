package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

func TestWhatWasAcknowledgedSurvivesRestartsOfPostgreSQL(t *testing.T) {
	t.Parallel()
	postgres := metadatatest.NewPostgreSQL(t)
	hub := newHub(t, hubsim.Options{})
	s := newServer(t, filepath.Join(t.TempDir(), "data"), hub)
	s.env = []string{"LARDER_DATABASE=" + postgres.Database(t)}
	r := &restarts{t: t, server: s, client: s.start()}
	r.quiet = newNeighbor(t, r.client, hub)
	for i := range uint64(3) {
		r.pushers = append(r.pushers, &pusher{client: r.client, shelf: newShelf(fmt.Sprintf("demo/db%d", i)), rng: choices(t, 500+i)})
		r.pushers[i].common = []content{drawContent(r.pushers[i].rng), drawContent(r.pushers[i].rng)}
		r.pushers[i].base = r.pushers[i].shelf.repository
	}
	for _, crash := range []bool{false, true, false, true} {
		r.during(func() { postgres.Restart(t, crash) })
		r.settle()
	}
	t.Logf("%d operations acknowledged, %d refused or broken off while PostgreSQL was away", r.done.Load(), r.failed.Load())
	s.stop()
}

// restarts is a server whose database comes and goes.
type restarts struct {
	t            *testing.T
	server       *server
	client       *client
	quiet        *neighbor
	pushers      []*pusher
	done, failed atomic.Int64
}

// during does something while everybody works. What fails meanwhile is uncertain, and
// wrong bytes never are an answer.
func (r *restarts) during(do func()) {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.t.Context())
	var working sync.WaitGroup
	for _, p := range r.pushers {
		working.Go(func() {
			for ctx.Err() == nil {
				switch err := p.step(r.t.Context()); {
				case errors.Is(err, errWrongBytes):
					r.t.Errorf("%s: %v", p.shelf.repository, err)
				case err != nil:
					r.failed.Add(1)
				default:
					r.done.Add(1)
				}
			}
		})
	}
	began := r.done.Load()
	more := func() bool { return r.done.Load() >= began+10 }
	until(r.t, "they work", more)
	do()
	began = r.done.Load()
	until(r.t, "they work again, of themselves", more)
	stop()
	working.Wait()
	r.server.alive()
}

// settle finds all that was acknowledged.
func (r *restarts) settle() {
	r.t.Helper()
	began := time.Now()
	r.quiet.pull(r.t.Context())
	if took := time.Since(began); took > paused {
		r.t.Errorf("a warm pull took %s", took)
	}
	for _, p := range r.pushers {
		if _, err := p.settle(r.t.Context(), false); err != nil {
			r.t.Errorf("%s: %v", p.shelf.repository, err)
		}
	}
}
