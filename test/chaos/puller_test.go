package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

// puller pulls through the cache what nobody has pulled before, and evicts some of it.
type puller struct {
	*client
	hub        *hubsim.Hub
	repository string // as the hub has it
	rng        *rand.Rand
	images     map[string]hubsim.Pushed // by tag
	touched    map[string]bool
	// retries says that a transfer which broke off is tried again, as real clients do: what
	// is evicted from object storage while it is opened cannot be sent any more.
	retries bool
}

func newPuller(hub *hubsim.Hub, repository string, rng *rand.Rand) *puller {
	return &puller{hub: hub, repository: repository, rng: rng, images: map[string]hubsim.Pushed{}, touched: map[string]bool{}}
}

func (p *puller) path(rest string) string { return "/v2/docker-hub/" + p.repository + rest }

// work pulls until the server is gone. The error is nil when it was killed by the test.
func (p *puller) work(ctx context.Context, killed *atomic.Bool, done *atomic.Int64) error {
	for {
		err := p.step(ctx)
		if err == nil {
			done.Add(1)
			continue
		}
		if killed.Load() && !isRefusal(err) {
			return nil
		}
		return fmt.Errorf("%s: %w", p.repository, err)
	}
}

func (p *puller) step(ctx context.Context) error {
	tags := slices.Sorted(maps.Keys(p.images))
	if len(tags) > 0 && p.rng.IntN(4) == 0 {
		name := tags[p.rng.IntN(len(tags))]
		p.touched[name] = true
		if p.rng.IntN(2) == 0 {
			return p.pull(ctx, name)
		}
		return p.evict(ctx, name)
	}
	name := strconv.Itoa(len(p.images))
	p.images[name] = p.hub.AddImage(p.repository, name, hubsim.Image{
		Seed:       p.rng.Uint64(),
		LayerSizes: []int64{3_000 + p.rng.Int64N(900_000), 1 + p.rng.Int64N(200_000)},
	})
	p.touched[name] = true
	if p.rng.IntN(3) > 0 {
		return p.pull(ctx, name)
	}
	return p.pullThroughFault(ctx, name)
}

// pullThroughFault pulls while the hub breaks off one layer's transfer, of which the
// client notices nothing, or spoils it, after which nothing wrong may have been served.
func (p *puller) pullThroughFault(ctx context.Context, name string) error {
	kind := []hubsim.FaultKind{hubsim.CutAfter, hubsim.FlipByte}[p.rng.IntN(2)]
	layer := p.images[name].Manifests[0].Layers[0]
	restore := p.hub.Break(hubsim.Fault{Kind: kind, Path: hubsim.CDNPath, Reference: layer.Digest.String(), Times: 1, Bytes: p.rng.Int64N(layer.Size)})
	err := p.pull(ctx, name)
	restore()
	if kind == hubsim.FlipByte && !errors.Is(err, errWrongBytes) {
		return p.pull(ctx, name) // the first may have been refused or broken off
	}
	return err
}

// pull asks for an image twice at once, as nodes do.
func (p *puller) pull(ctx context.Context, name string) error {
	pushed := p.images[name]
	a, err := p.get(ctx, p.path("/manifests/"+name))
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || a.digest != pushed.Digest {
		return fmt.Errorf("%w to %s, which is %s: %s", errRefused, p.path("/manifests/"+name), pushed.Digest, a)
	}
	blobs := []digest.Digest{pushed.Manifests[0].Config.Digest}
	for _, l := range pushed.Manifests[0].Layers {
		blobs = append(blobs, l.Digest)
	}
	var group sync.WaitGroup
	errs := make([]error, 2*len(blobs))
	for i, name := range slices.Repeat(blobPaths("docker-hub/"+p.repository, blobs), 2) {
		group.Go(func() {
			errs[i] = p.whole(ctx, name)
			if p.retries && errs[i] != nil && !isRefusal(errs[i]) {
				errs[i] = p.whole(ctx, name)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func (p *puller) evict(ctx context.Context, name string) error {
	a, err := p.do(ctx, request{method: http.MethodDelete, path: p.path("/manifests/" + p.images[name].Digest.String())})
	if err == nil && a.status != http.StatusAccepted && a.status != http.StatusNotFound {
		err = fmt.Errorf("%w to the eviction of %s: %s", errRefused, name, a)
	}
	return err
}

// pulledAtOnce is how many images are pulled at once when they are compared: while the
// hub is gone, each that is due for a check takes the cache's patience.
const pulledAtOnce = 8

// settle pulls what was touched and a sample of the rest.
func (p *puller) settle(ctx context.Context, all bool) (looked int, err error) {
	var chosen, older []string
	for _, name := range slices.Sorted(maps.Keys(p.images)) {
		if all || p.touched[name] {
			chosen = append(chosen, name)
		} else {
			older = append(older, name)
		}
	}
	p.rng.Shuffle(len(older), func(i, j int) { older[i], older[j] = older[j], older[i] })
	chosen = append(chosen, older[:min(sample, len(older))]...)
	for names := range slices.Chunk(chosen, pulledAtOnce) {
		if err := p.pullAll(ctx, names); err != nil {
			return looked, fmt.Errorf("%s: %w", p.repository, err)
		}
		looked += len(names)
	}
	clear(p.touched)
	return looked, nil
}

// pullAll pulls images at once, and tells of each that could not be had.
func (p *puller) pullAll(ctx context.Context, names []string) error {
	var group sync.WaitGroup
	errs := make([]error, len(names))
	for i, name := range names {
		group.Go(func() { errs[i] = p.pull(ctx, name) })
	}
	group.Wait()
	return errors.Join(errs...)
}
