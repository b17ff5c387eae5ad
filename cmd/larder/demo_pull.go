package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/sleep"
)

// demoImage has two platforms, of which the clients pull one.
func demoImage() hubsim.Image {
	const mib = 1 << 20
	return hubsim.Image{
		Seed:       2026,
		LayerSizes: []int64{12 * mib, 6 * mib, 4 * mib, mib, mib / 2, 4 << 10},
		Platforms:  []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
	}
}

// act is one part of the demonstration: what happened, and what the Hub saw of it.
type act struct {
	name     string
	pulls    int
	failures []error
	took     time.Duration
	bytes    int64 // received by the clients
	hub      hubsim.Tally
	// holds says what was promised and broken says how it was not kept, if so.
	holds, broken string
}

// play runs the three acts. An act in which pulls failed is reported as a broken
// promise, not as an error.
func (d *demo) play(ctx context.Context) ([]act, error) {
	cold := d.perform(ctx, "50 clients at once, cold", demoColdPulls, demoColdPulls)
	d.judgeCold(&cold)
	warm := d.perform(ctx, "250 pulls, warm", demoWarmPulls, demoWarmClients)
	d.judgeWarm(&warm)
	restore := d.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	defer restore()
	if err := sleep.For(ctx, demoTagTTL); err != nil {
		return nil, err
	}
	gone := d.perform(ctx, "10 pulls, Docker Hub gone", demoLastPulls, 1)
	d.judgeGone(&gone)
	return []act{cold, warm, gone}, ctx.Err()
}

// perform pulls the image some times, by so many clients at once.
func (d *demo) perform(ctx context.Context, title string, pulls, clients int) act {
	d.hub.ResetRequests()
	a := act{name: title, pulls: pulls}
	bar := d.progress.bar(title, pulls)
	var mu sync.Mutex
	var work sync.WaitGroup
	turns := make(chan struct{}, pulls)
	for range pulls {
		turns <- struct{}{}
	}
	close(turns)
	began := time.Now()
	for range clients {
		work.Go(func() {
			for range turns {
				received, err := d.pull(ctx)
				bar.increment()
				mu.Lock()
				a.bytes += received
				if err != nil {
					a.failures = append(a.failures, err)
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	a.took = time.Since(began)
	a.hub = d.hub.Counters().Tally
	return a
}

// pull does what docker does: index, manifest, config, layers, every byte verified.
// Each pull has connections of its own, as another machine's would.
func (d *demo) pull(ctx context.Context) (int64, error) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ref, err := name.ParseReference(d.larder.Addr().String()+"/docker-hub/"+demoRepository+":"+demoTag, name.Insecure)
	if err != nil {
		return 0, err
	}
	image, err := remote.Image(ref, remote.WithContext(ctx), remote.WithTransport(transport))
	if err != nil {
		return 0, err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return 0, err
	}
	layers, err := image.Layers()
	if err != nil {
		return 0, err
	}
	received := int64(len(config))
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			return received, err
		}
		n, err := io.Copy(io.Discard, content)
		_ = content.Close()
		received += n
		if err != nil {
			return received, fmt.Errorf("reading a layer: %w", err)
		}
	}
	return received, nil
}
