package chaos_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// throughout are clients that pull one image, which is held, again and again through a
// balancer before two replicas. Each tries once more when its connection breaks, and no
// pull may fail after that.
type throughout struct {
	manifest string
	layers   []string

	over           atomic.Bool
	pulls, retries atomic.Int64
	working        sync.WaitGroup
}

const throughoutClients = 4

// pullThroughout begins to pull. The caller ends it.
func (r *replicas) pullThroughout(t *testing.T) *throughout {
	t.Helper()
	p := &throughout{}
	p.manifest, p.layers = r.image("warm", 200_000, 100_000)
	if err := pullAll(t.Context(), r.clientOf(r.a), p.manifest, p.layers); err != nil {
		t.Fatal(err)
	}
	balancer := newBalancer(t, r.a, r.b)
	for range throughoutClients {
		c := newClient(t, balancer)
		p.working.Go(func() { p.work(t, c) })
	}
	t.Cleanup(func() { p.end() })
	return p
}

func (p *throughout) work(t *testing.T, c *client) {
	for !p.over.Load() {
		err := pullAll(t.Context(), c, p.manifest, p.layers)
		if err != nil { // its connection broke; the next one leads elsewhere
			p.retries.Add(1)
			c.http.CloseIdleConnections()
			time.Sleep(50 * time.Millisecond) // as clients do; what dies closes its listener last
			err = pullAll(t.Context(), c, p.manifest, p.layers)
		}
		if err != nil {
			if t.Context().Err() == nil {
				t.Errorf("a pull failed after its retry: %v", err)
			}
			return
		}
		p.pulls.Add(1)
	}
}

// goOn waits until some more pulls have ended.
func (p *throughout) goOn(t *testing.T, what string) {
	t.Helper()
	before := p.pulls.Load()
	comesTrue(t, what, func() bool { return p.pulls.Load() > before+2*throughoutClients || t.Failed() })
}

// end waits until nobody pulls any more, and says how many pulls there were.
func (p *throughout) end() string {
	p.over.Store(true)
	p.working.Wait()
	return fmt.Sprintf("%d pulls, of which %d were retried,", p.pulls.Load(), p.retries.Load())
}
