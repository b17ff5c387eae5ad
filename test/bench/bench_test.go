package bench

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	clients    = 8
	repository = "library/bench"
	rounds     = 5 // turns that each server gets in one measurement
)

// hub is a simulated Docker Hub with one image, whose layer has so many bytes. Its
// token service is its own, so that every peer can follow the challenge.
func hub(b *testing.B, layer int64) (*hubsim.Hub, hubsim.Pushed) {
	b.Helper()
	return hubWith(b, hubsim.Image{Seed: 7, LayerSizes: []int64{layer}})
}

func hubWith(b *testing.B, image hubsim.Image) (*hubsim.Hub, hubsim.Pushed) {
	b.Helper()
	h, err := hubsim.Start(hubsim.Options{AnonymousLimit: hubsim.Unmetered, TokensOnRegistry: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(h.Close)
	return h, h.AddImage(repository, "latest", image)
}

// hammer has all clients fetch one URL over and over and returns the time it took.
func hammer(b *testing.B, url string, times int) time.Duration {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var work sync.WaitGroup
	began := time.Now()
	for range clients {
		work.Go(func() {
			for range times / clients {
				if _, err := fetch(context.Background(), client, url); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	return time.Since(began)
}

// compare measures in turns and reports how many times faster the first URL is
// served than each of the others.
func compare(b *testing.B, times int, first string, others map[string]string) {
	b.Helper()
	hammer(b, first, clients) // warm
	for _, url := range others {
		hammer(b, url, clients)
	}
	for b.Loop() {
		var own time.Duration
		theirs := map[string]time.Duration{}
		for range rounds {
			own += hammer(b, first, times)
			for name, url := range others {
				theirs[name] += hammer(b, url, times)
			}
		}
		for name, took := range theirs {
			b.ReportMetric(float64(took)/float64(own), "times-"+name)
		}
		b.ReportMetric(float64(rounds*times)/own.Seconds(), "requests/s")
	}
}

func BenchmarkWarmManifestByTag(b *testing.B) {
	h, _ := hub(b, 1<<20)
	own, peer := larder(b, h.URL()), distribution(b, h.URL())
	compare(b, 2000, own.url+"/v2/docker-hub/"+repository+"/manifests/latest", map[string]string{
		peer.name: peer.url + "/v2/" + repository + "/manifests/latest",
	})
}

func BenchmarkWarmManifestByDigest(b *testing.B) {
	h, image := hub(b, 1<<20)
	own, peer := larder(b, h.URL()), distribution(b, h.URL())
	compare(b, 2000, own.url+"/v2/docker-hub/"+repository+"/manifests/"+image.Digest.String(), map[string]string{
		peer.name: peer.url + "/v2/" + repository + "/manifests/" + image.Digest.String(),
	})
}

func BenchmarkWarmBlob(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int64
		times int
	}{{"16KiB", 16 << 10, 2000}, {"64MiB", 64 << 20, 32}} {
		b.Run(size.name, func(b *testing.B) {
			h, image := hub(b, size.bytes)
			layer := image.Manifests[0].Layers[0].Digest
			folder := b.TempDir()
			content, _ := h.OpenBlob(layer)
			file, err := os.Create(filepath.Join(folder, "blob"))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := file.ReadFrom(content); err != nil {
				b.Fatal(err)
			}
			_ = file.Close()
			own, peer, static := larder(b, h.URL()), distribution(b, h.URL()), nginx(b, folder)
			compare(b, size.times, own.url+"/v2/docker-hub/"+repository+"/blobs/"+layer.String(), map[string]string{
				peer.name:   peer.url + "/v2/" + repository + "/blobs/" + layer.String(),
				static.name: static.url + "/blob",
			})
		})
	}
}

// BenchmarkColdStampede has 50 clients ask at once for a blob that no cache holds.
func BenchmarkColdStampede(b *testing.B) {
	const stampede = 50
	for b.Loop() {
		h, image := hub(b, 16<<20)
		layer := image.Manifests[0].Layers[0].Digest.String()
		own, peer := larder(b, h.URL()), distribution(b, h.URL())
		took := map[string]time.Duration{}
		for _, s := range []struct{ name, url string }{
			{own.name, own.url + "/v2/docker-hub/" + repository + "/blobs/" + layer},
			{peer.name, peer.url + "/v2/" + repository + "/blobs/" + layer},
		} {
			h.ResetRequests()
			var work sync.WaitGroup
			began := time.Now()
			for range stampede {
				work.Go(func() {
					if _, err := fetch(context.Background(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, s.url); err != nil {
						b.Error(err)
					}
				})
			}
			work.Wait()
			took[s.name] = time.Since(began)
			b.ReportMetric(float64(h.Counters().CDNGETs), "transfers-"+s.name)
		}
		b.ReportMetric(float64(took[peer.name])/float64(took[own.name]), "times-"+peer.name)
	}
}
