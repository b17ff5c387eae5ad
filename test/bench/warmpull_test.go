package bench

import (
	"context"
	"math"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
)

// limits are what the processor time is measured with and without.
const limits = `
pullLimits: {anonymous: 1000000000/6h, authenticated: 1000000000/6h}
upstreams:
  - name: docker-hub
    reserve: [{project: prod, share: 20%}]
    budgets: [{project: demo, limit: 50/6h}]
`

// request is one of those that a client makes.
type request struct{ method, path string }

// pull is what containerd asks for to pull an image for one platform: what the tag is, the
// index, the platform's manifest, its configuration and its layers.
func pull(image hubsim.Pushed) []request {
	const base = "/v2/docker-hub/" + repository
	m := image.Manifests[0]
	all := []request{
		{http.MethodHead, base + "/manifests/latest"},
		{http.MethodGet, base + "/manifests/" + image.Digest.String()},
		{http.MethodGet, base + "/manifests/" + m.Digest.String()},
		{http.MethodGet, base + "/blobs/" + m.Config.Digest.String()},
	}
	for _, layer := range m.Layers {
		all = append(all, request{http.MethodGet, base + "/blobs/" + layer.Digest.String()})
	}
	return all
}

// repeat has all clients make the requests one after the other, so many times in all.
func repeat(b *testing.B, client *http.Client, s server, requests []request, times int) {
	b.Helper()
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			for range times / clients {
				for _, r := range requests {
					if _, err := send(context.Background(), client, r.method, s.url+r.path); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	work.Wait()
}

// switched is a server whose limits, reserves and budgets are turned on and off while it
// runs: two servers differ by where their files and their programs lie in memory.
type switched struct {
	server
	config string
}

// turn puts limits in force or out of it, and waits until they are.
func (s switched) turn(b *testing.B, client *http.Client, path string, on bool) {
	b.Helper()
	text := ""
	if on {
		text = limits
	}
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := syscall.Kill(s.process, syscall.SIGHUP); err != nil {
		b.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		resp, err := client.Head(s.url + path)
		if err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
		if (resp.Header.Get("RateLimit-Limit") != "") == on {
			return
		}
		if time.Now().After(deadline) {
			b.Fatal("the server does not take its configuration over")
		}
	}
}

// compareProcessor has a server answer the same requests with limits and without them, in
// turns, and compares the time that it spends on processors. Four turns are a block, in
// which what grows evenly, as the machine's load may, falls out: without, with, with,
// without. Another block like it has no limits in any turn: by what it differs from 1
// nothing is measured. In a turn memory has to be collected several times, or it is chance
// whether it is at all. A longer run (-benchtime 3x) has more blocks.
//
// It reports with/without, the median of the blocks, which is above 1 by what limits cost,
// and the bounds within which that median lies 19 times of 20; and same, which is all of
// this of the other blocks.
func compareProcessor(b *testing.B, upstream string, requests []request, times, blocks int) {
	b.Helper()
	config := writeFile(b, "larder.yaml", "")
	s := switched{larder(b, upstream, "--config", config), config}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	b.Cleanup(client.CloseIdleConnections)
	repeat(b, client, s.server, requests, clients) // cold
	spend := func(on bool) time.Duration {
		s.turn(b, client, requests[0].path, on)
		repeat(b, client, s.server, requests, times/4) // warm again
		before := s.processor(b)
		repeat(b, client, s.server, requests, times)
		return s.processor(b) - before
	}
	block := func(on bool) (ratio float64, inner time.Duration) {
		outer := spend(false)
		inner = spend(on) + spend(on)
		outer += spend(false)
		return float64(inner) / float64(outer), inner / 2
	}
	var with, same []float64
	var each time.Duration
	for b.Loop() {
		for range blocks {
			ratio, took := block(true)
			with, each = append(with, ratio), each+took
			ratio, _ = block(false)
			same = append(same, ratio)
		}
	}
	reportMedian(b, with, "with/without")
	reportMedian(b, same, "same")
	b.ReportMetric(each.Seconds()*1e6/float64(len(with)*times), "processor-us")
}

// reportMedian reports the median, and the measured values between which that of endlessly
// many would lie with 95%, by the binomial distribution's normal approximation.
func reportMedian(b *testing.B, of []float64, unit string) {
	b.Helper()
	slices.Sort(of)
	n := len(of)
	off := max(0, int(float64(n)/2-0.98*math.Sqrt(float64(n))))
	b.ReportMetric(of[n/2], unit)
	b.ReportMetric(of[off], unit+"-low")
	b.ReportMetric(of[n-1-off], unit+"-high")
}

// BenchmarkWarmManifestUnderLimits is about the one request that counts.
func BenchmarkWarmManifestUnderLimits(b *testing.B) {
	h, _ := hub(b, 1<<20)
	path := "/v2/docker-hub/" + repository + "/manifests/latest"
	compareProcessor(b, h.URL(), []request{{http.MethodGet, path}}, 3200, 30)
}

// BenchmarkWarmPullUnderLimits is about whole pulls: of an image as most are, of one like
// the smallest that people build on, and of one that is so small that nothing costs but the
// requests themselves.
func BenchmarkWarmPullUnderLimits(b *testing.B) {
	for _, image := range []struct {
		name          string
		layers        []int64
		times, blocks int
	}{
		{"13MiB", []int64{8 << 20, 4 << 20, 1 << 20}, 48, 30},
		{"4MiB", []int64{3 << 20, 512 << 10}, 120, 30},
		{"67KiB", []int64{50 << 10, 16 << 10, 1 << 10}, 480, 30},
	} {
		b.Run(image.name, func(b *testing.B) {
			h, pushed := hubWith(b, hubsim.Image{
				Seed: 7, LayerSizes: image.layers,
				Platforms: []ocispec.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
			})
			compareProcessor(b, h.URL(), pull(pushed), image.times, image.blocks)
		})
	}
}
