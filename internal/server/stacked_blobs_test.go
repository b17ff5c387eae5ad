package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

// big is an image with one layer that takes a while to come.
func big(seed uint64) hubsim.Image {
	return hubsim.Image{Seed: seed, LayerSizes: []int64{3 << 20}}
}

func TestThirtyTwoAskersCostOneTransfer(t *testing.T) {
	s := newStack(t, hubsim.Options{BlobBandwidth: 8 << 20}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx + "manifests/latest")
	s.hub.ResetRequests()

	var work sync.WaitGroup
	var mu sync.Mutex
	statuses := map[string]int{}
	for range 32 {
		work.Go(func() {
			got, err := s.try(t.Context(), request{path: nginx + "blobs/" + layer.String()})
			if err != nil || got.err != nil || layer.Algorithm().FromBytes(got.body) != layer {
				t.Errorf("an asker got %d bytes, %v, %v", len(got.body), err, got.err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[got.cache()]++
		})
	}
	work.Wait()
	s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
	// Who comes when the transfer has ended, as on a busy machine, gets what it brought.
	if statuses["larder; fwd=miss; stored"] != 1 || statuses["larder; fwd=miss; collapsed"]+statuses["larder; hit"] != 31 {
		t.Errorf("the askers were told: %v", statuses)
	}
}

func TestThirtyTwoAskersForAColdTagCostOneGET(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.Slow, Path: hubsim.ManifestPath, Delay: 200 * time.Millisecond})
	defer restore()
	var work sync.WaitGroup
	for range 32 {
		work.Go(func() {
			got, err := s.try(t.Context(), request{path: nginx + "manifests/latest"})
			if err != nil || got.status != 200 || image.Digest.Algorithm().FromBytes(got.body) != image.Digest {
				t.Errorf("an asker got %d, %v", got.status, err)
			}
		})
	}
	work.Wait()
	s.hubSaw(names(image), hello, token, "GET "+hubNginx+"manifests/latest 200")
}

func TestATransferGoesOnWhenItsAskerHasGone(t *testing.T) {
	s := newStack(t, hubsim.Options{BlobBandwidth: 8 << 20}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0].Digest
	path := nginx + "blobs/" + layer.String()

	ctx, leave := context.WithCancel(t.Context())
	resp, err := s.open(ctx, request{path: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	leave()
	_ = resp.Body.Close()
	s.hub.ResetRequests()
	s.eventually("the blob is held", func() bool { return s.head(path).cache() == "larder; hit" })
	s.hub.ResetRequests()
	s.get(path).wants(t, 200, "larder; hit").is(t, layer)
	s.hubSaw(names(image))
}

func TestALateJoinerGetsEverythingFromTheSameTransfer(t *testing.T) {
	t.Parallel()
	s := newStack(t, hubsim.Options{BlobBandwidth: 512 << 10}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx + "manifests/latest")
	s.hub.ResetRequests()
	path := nginx + "blobs/" + layer.String()

	first, err := s.open(t.Context(), request{path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Body.Close() }()
	if _, err := io.ReadFull(first.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	s.get(path).wants(t, 200, "larder; fwd=miss; collapsed").is(t, layer)
	s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
}

func TestARangeOfAColdBlobIsServedFromTheOneTransfer(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0]
	path := nginx + "blobs/" + layer.Digest.String()
	s.get(nginx + "manifests/latest")
	s.hub.ResetRequests()

	got := s.send(request{path: path, header: map[string]string{"Range": "bytes=1000-1999"}})
	got.wants(t, 206, "larder; fwd=miss; stored")
	if want := fmt.Sprintf("bytes 1000-1999/%d", layer.Size); got.header.Get("Content-Range") != want {
		t.Errorf("Content-Range %q, want %q", got.header.Get("Content-Range"), want)
	}
	whole := s.get(path).is(t, layer.Digest)
	if !bytes.Equal(got.body, whole.body[1000:2000]) {
		t.Error("the range is not the blob's")
	}
	s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
}

func TestABrokenConnectionIsResumedAndClientsNoticeAPauseOnly(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0]
	s.get(nginx + "manifests/latest")
	s.hub.ResetRequests()
	s.hub.Break(hubsim.Fault{Kind: hubsim.CutAfter, Path: hubsim.CDNPath, Bytes: 1 << 20, Times: 1})

	s.get(nginx+"blobs/"+layer.Digest.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, layer.Digest)
	requests := s.hub.Requests()
	last := requests[len(requests)-1]
	if last.Status != http.StatusPartialContent || last.Range == "" || last.Range == "bytes=0-" {
		t.Errorf("the transfer was not resumed with a Range request: %v", requests)
	}
}

func TestAnUpstreamThatIgnoresTheRangeIsReadFromTheStartAgain(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0]
	s.hub.Break(hubsim.Fault{Kind: hubsim.CutAfter, Path: hubsim.CDNPath, Bytes: 1 << 20, Times: 1})
	s.hub.Break(hubsim.Fault{Kind: hubsim.IgnoreRange, Path: hubsim.CDNPath})
	s.get(nginx+"blobs/"+layer.Digest.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, layer.Digest)
}

func TestNoClientEverSeesACompleteAnswerWithWrongBytes(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  hubsim.Fault
		mended bool // resuming may bring the whole blob all the same
	}{
		{"a byte flipped in the middle", hubsim.Fault{Kind: hubsim.FlipByte, Bytes: 1 << 20}, false},
		{"the last byte flipped", hubsim.Fault{Kind: hubsim.FlipByte, Bytes: 3<<20 - 1}, false},
		{"a clean but short body", hubsim.Fault{Kind: hubsim.ShortBody, Bytes: 1 << 20}, false},
		{"cut before the first byte, always", hubsim.Fault{Kind: hubsim.CutAfter}, false},
		{"cut after every megabyte", hubsim.Fault{Kind: hubsim.CutAfter, Bytes: 1 << 20}, true},
		{"stalled after every megabyte", hubsim.Fault{Kind: hubsim.Stalled, Bytes: 1 << 20}, true},
	} {
		for _, byteRange := range []string{"", "bytes=100-199", "bytes=-100", "bytes=0-9,20-29"} {
			t.Run(test.name+", range "+byteRange, func(t *testing.T) {
				t.Parallel()
				s := newStack(t, hubsim.Options{}, "")
				if test.fault.Kind == hubsim.Stalled {
					s.givesUpSoon()
				}
				image := s.hub.AddImage("library/nginx", "latest", big(1))
				layer := image.Manifests[0].Layers[0].Digest
				fault := test.fault
				fault.Path = hubsim.BlobPath
				restore := s.hub.Break(fault)
				r := request{path: nginx + "blobs/" + layer.String(), header: map[string]string{}}
				if byteRange != "" {
					r.header["Range"] = byteRange
				}
				broken, err := s.try(t.Context(), r)
				complete := err == nil && broken.err == nil && broken.status < 300
				if complete && !test.mended {
					t.Fatalf("a complete answer of %d with %d bytes", broken.status, len(broken.body))
				}
				restore()
				s.eventually("the blob is held", func() bool {
					got, err := s.try(t.Context(), request{path: r.path})
					return err == nil && got.err == nil && got.cache() == "larder; hit"
				})
				s.get(r.path).is(t, layer)
				if sound := s.send(r); complete && broken.status == sound.status && !bytes.Equal(broken.body, sound.body) {
					t.Errorf("a complete answer with other bytes than the blob's")
				}
			})
		}
	}
}

func TestABlobIsReadableOnlyThroughARepositoryThatShowsIt(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.AddImage("library/redis", "latest", small(2))
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx+"blobs/"+layer.String()).is(t, layer)
	s.get("/v2/docker-hub/library/redis/manifests/latest")
	s.hub.ResetRequests()

	s.get("/v2/docker-hub/library/redis/blobs/"+layer.String()).wants(t, 404, "larder; fwd=miss; fwd-status=404")
	s.hubSaw(names(image), "HEAD /v2/library/redis/blobs/LAYER-A1 404")
}

func TestABlobThatAnotherRepositoryShowsIsLinkedAndNotTransferredAgain(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.AddImage("library/copy", "latest", small(1))
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx+"blobs/"+layer.String()).is(t, layer)
	s.eventually("the blob is stored", func() bool { return s.head(nginx+"blobs/"+layer.String()).cache() == "larder; hit" })
	s.get("/v2/docker-hub/library/copy/manifests/latest")
	s.hub.ResetRequests()

	s.get("/v2/docker-hub/library/copy/blobs/"+layer.String()).wants(t, 200, "larder; fwd=miss; fwd-status=200; detail=linked").is(t, layer)
	s.get("/v2/docker-hub/library/copy/blobs/"+layer.String()).wants(t, 200, "larder; hit").is(t, layer)
	got := s.hub.Requests()
	if len(got) != 2 || !strings.HasPrefix(got[0].String(), "HEAD /v2/library/copy/blobs/") || !strings.HasPrefix(got[1].String(), "HEAD cdn/") {
		t.Errorf("the Hub saw %v, want one HEAD and where it was redirected to", got)
	}
}

func TestASlowReaderHoldsBackNobody(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{24 << 20}})
	layer := image.Manifests[0].Layers[0].Digest
	path := nginx + "blobs/" + layer.String()

	slow, err := s.open(t.Context(), request{path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Body.Close() }()
	s.get(path).is(t, layer)
}

// eventually polls for something that another goroutine brings about.
func (s *stack) eventually(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	s.t.Fatalf("it never came about that %s", what)
}
