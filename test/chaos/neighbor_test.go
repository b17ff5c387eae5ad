package chaos_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	// slowest is how long one pull of a well-behaved client may take while something fails,
	// which is less than what whoever writes waits for a lock.
	slowest = 8 * time.Second
	// Half of its pulls take typical at most while others misbehave, and none paused. The
	// machine is busy with both sides.
	typical = 2 * time.Second
	paused  = 30 * time.Second
	// enough is how many pulls tell whether somebody is served well.
	enough = 30
)

// neighbor pulls one cached image again and again while others misbehave.
type neighbor struct {
	t      *testing.T
	client *client
	paths  []string // of the manifest and the blobs, each ending with its digest

	stop  context.CancelFunc
	ended sync.WaitGroup
	took  []time.Duration // of each pull; read when ended
	count atomic.Int64
}

// newNeighbor pulls an image so that it is cached.
func newNeighbor(t *testing.T, c *client, hub *hubsim.Hub) *neighbor {
	t.Helper()
	pushed := hub.AddImage("library/quiet", "latest", hubsim.Image{Seed: seed(t), LayerSizes: []int64{300_000, 20_000}})
	digests := []digest.Digest{pushed.Manifests[0].Config.Digest}
	for _, l := range pushed.Manifests[0].Layers {
		digests = append(digests, l.Digest)
	}
	const repository = "docker-hub/library/quiet"
	n := &neighbor{t: t, client: c, paths: append([]string{"/v2/" + repository + "/manifests/" + pushed.Digest.String()}, blobPaths(repository, digests)...)}
	if a, err := c.get(t.Context(), "/v2/"+repository+"/manifests/latest"); err != nil || a.digest != pushed.Digest {
		t.Fatalf("a first pull: %s, %v", a, err)
	}
	n.pull(t.Context())
	return n
}

func (n *neighbor) pull(ctx context.Context) {
	for _, path := range n.paths {
		if err := n.client.whole(ctx, path); err != nil && ctx.Err() == nil {
			n.t.Errorf("a well-behaved client: %v", err)
		}
	}
}

// begin pulls in the background until end.
func (n *neighbor) begin() {
	ctx, stop := context.WithCancel(n.t.Context())
	n.stop, n.took = stop, nil
	n.count.Store(0)
	n.ended.Go(func() {
		for ctx.Err() == nil && !n.t.Failed() {
			began := time.Now()
			n.pull(ctx)
			n.took = append(n.took, time.Since(began))
			n.count.Add(1)
		}
	})
}

// end stops pulling and fails the test if it was served badly.
func (n *neighbor) end() (pulls int, median, longest time.Duration) {
	n.t.Helper()
	n.stop()
	n.ended.Wait()
	slices.Sort(n.took)
	median, longest = n.took[len(n.took)/2], n.took[len(n.took)-1]
	if longest > paused || median > typical {
		n.t.Errorf("meanwhile a pull by a well-behaved client took %s, the longest %s", median, longest)
	}
	return len(n.took), median, longest
}
