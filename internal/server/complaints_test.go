package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
)

// The tests of complaints_*_test.go are what users of other registries and caches
// complain about. Each names the complaint by its origin, and is named after what
// Larder does instead. Those of a full cache (row 9) and of garbage and credentials (row
// 25) are with what they are about, in gc, pullthrough, upstream and stacked_lending_test.go.

// goharbor/harbor#19899 and #19257: a cached latest fails with 429 because the
// freshness check was refused.
func TestACachedLatestIsServedThroughADayOfRefusedFreshnessChecks(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.PullLimit429, Path: hubsim.ManifestPath})
	s.hub.ResetRequests()

	for hour := range 24 {
		s.clock.Pass(time.Hour)
		got := s.get(nginx+"manifests/latest").is(t, image.Digest)
		age := fmt.Sprint((hour + 1) * 3600)
		if !strings.Contains(got.cache(), "detail=stale-if-error") || got.header.Get("Age") != age {
			t.Fatalf("after %d h: Cache-Status %q, Age %q", hour+1, got.cache(), got.header.Get("Age"))
		}
		if warning := got.header.Get("Warning"); !strings.HasPrefix(warning, `299 - "stale copy`) || !strings.Contains(warning, "Docker Hub") {
			t.Fatalf("after %d h: Warning %q", hour+1, warning)
		}
	}
	if asked := s.hub.Counters(); asked.ManifestHEADs > 24 || asked.ManifestGETs > 0 {
		t.Errorf("the Hub was asked %d times by HEAD and %d times by GET", asked.ManifestHEADs, asked.ManifestGETs)
	}
	if told := strings.Count(s.log.String(), "serving a stale copy"); told != 1 {
		t.Errorf("the log tells %d times that a stale copy is served, want once", told)
	}
	restore()
	s.clock.Pass(24 * time.Hour)
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=stale; fwd-status=200; detail=revalidated").is(t, image.Digest)
}

// A refused freshness check is about manifests: Docker Hub goes on to serve blobs.
func TestARefusedFreshnessCheckKeepsNoBlobFromComing(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	s.hub.Break(hubsim.Fault{Kind: hubsim.PullLimit429, Path: hubsim.ManifestPath})
	s.clock.Pass(61 * time.Second)

	got := s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-1; detail=stale-if-error").is(t, image.Digest)
	if warning := got.header.Get("Warning"); !strings.Contains(warning, "pull rate limit is reached") {
		t.Errorf("Warning %q does not tell why", warning)
	}
	s.get(nginx+"blobs/"+layer.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
}

// goharbor/harbor#22570, distribution/distribution#3428 and its pull request 4664: N
// cold pulls of one image are N or N+1 downloads.
func TestFiftyColdPullsThroughTwoRepositoriesAndTagsAreOneDownload(t *testing.T) {
	s := newStack(t, hubsim.Options{BlobBandwidth: 4 << 20}, "")
	cold := hubsim.Image{LayerSizes: slices.Repeat([]int64{256 << 10}, 6), Platforms: bothPlatforms}
	image := s.hub.AddImage("library/nginx", "latest", cold)
	s.hub.AddImage("acme/web", "1.27", cold)

	var work sync.WaitGroup
	for client := range 50 {
		work.Go(func() {
			repository, tag := "library/nginx", "latest"
			if client%2 == 1 {
				repository, tag = "acme/web", "1.27"
			}
			if err := s.pullAsDocker("/v2/docker-hub/"+repository+"/", tag, image, 0); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	asked := s.hub.Counters()
	if asked.ManifestGETs != 2 || asked.BlobGETs != 7 || asked.CDNGETs != 7 {
		t.Errorf("the Hub saw %d manifest GETs, %d blob GETs and %d transfers, want 2 (index and platform), 7 and 7 (config and 6 layers)",
			asked.ManifestGETs, asked.BlobGETs, asked.CDNGETs)
	}
	if left := s.hub.Remaining(""); left != hubsim.DefaultAnonymousLimit-2 {
		t.Errorf("%d pulls are left", left)
	}
}

// project-zot/zot#4323, #3359 and #4184: the first pull of a big image sends no bytes
// until everything is copied, and the kubelet gives up.
func TestTheFirstBytesOfABigBlobArriveLongBeforeItsTransferEnds(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0]
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.Stalled, Path: hubsim.CDNPath, Bytes: layer.Size / 2})

	began := time.Now()
	resp, err := s.open(t.Context(), request{path: nginx + "blobs/" + layer.Digest.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	first := make([]byte, 32<<10)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 15*time.Second { // less than it takes to ask the silent Hub again
		t.Errorf("the first bytes came after %s", took)
	}
	restore()
	rest, err := io.ReadAll(resp.Body)
	answer{body: append(first, rest...), err: err}.is(t, layer.Digest)
}

// project-zot/zot#2505 and its pull request 3537: a client's timeout canceled the
// download, so that each retry began again and none ever ended.
func TestAClientThatGivesUpAgainAndAgainGetsTheBlobFromOneTransfer(t *testing.T) {
	s := newStack(t, hubsim.Options{BlobBandwidth: 3 << 20}, "")
	image := s.hub.AddImage("library/nginx", "latest", big(1))
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	s.hub.ResetRequests()

	path, gaveUp := nginx+"blobs/"+layer.String(), 0
	s.eventually("what takes a second is held, though nobody waits for longer than 200 ms", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if got, err := s.try(ctx, request{path: path}); err != nil || got.err != nil {
			gaveUp++
		}
		return s.head(path).cache() == "larder; hit"
	})
	if gaveUp == 0 {
		t.Error("the first try was enough: the transfer is too fast for this test")
	}
	s.get(path).wants(t, 200, "larder; hit").is(t, layer)
	s.hubSaw(names(image), "GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200")
}

// project-zot/zot#3129 and #3846, estahn/k8s-image-swapper#958: one pull of a
// multi-arch image fetched every platform and spent the quota.
func TestOnlyTheManifestsThatAreAskedForAreFetched(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	platforms := append(slices.Clone(bothPlatforms),
		v1.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, v1.Platform{OS: "linux", Architecture: "386"},
		v1.Platform{OS: "linux", Architecture: "ppc64le"}, v1.Platform{OS: "linux", Architecture: "s390x"},
		v1.Platform{OS: "windows", Architecture: "amd64"}, v1.Platform{OS: "unknown", Architecture: "unknown"})
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{4096}, Platforms: platforms})

	if err := s.pullAsDocker(nginx, "latest", image, 1); err != nil {
		t.Fatal(err)
	}
	s.hubSaw(names(image),
		hello, token, "HEAD "+hubNginx+"manifests/latest 200",
		"GET "+hubNginx+"manifests/INDEX 200",
		"GET "+hubNginx+"manifests/MANIFEST-B 200",
		"GET "+hubNginx+"blobs/CONFIG-B 307", "GET cdn/CONFIG-B 200",
		"GET "+hubNginx+"blobs/LAYER-B1 307", "GET cdn/LAYER-B1 200",
	)
	if left := s.hub.Remaining(""); left != hubsim.DefaultAnonymousLimit-2 {
		t.Errorf("%d pulls are left: an image of %d platforms must cost the index and the one platform", left, len(platforms))
	}
}

// project-zot/zot#4393: every pull of an unchanged, fully cached image walked the
// upstream's tree, for 3 to 8 seconds.
func TestAWholePullOfAnUnchangedImagePastItsTTLCostsOneHEAD(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{4096, 8192, 4096}, Platforms: bothPlatforms})
	s.pullAll(nginx, "latest", image)
	s.hub.ResetRequests()
	for range 3 {
		s.clock.Pass(61 * time.Second)
		for platform := range image.Manifests {
			if err := s.pullAsDocker(nginx, "latest", image, platform); err != nil {
				t.Fatal(err)
			}
		}
		s.hubSaw(names(image), "HEAD "+hubNginx+"manifests/latest 200")
	}
}

// goharbor/harbor#13566: a loop that pulled a cached image drained Docker Hub's
// allowance to below zero all the same.
func TestTwoHundredFiftyPullsOfACachedTagLeaveTheAllowanceAlone(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{4096}, Platforms: bothPlatforms})
	s.pullAll(nginx, "latest", image)
	s.hub.ResetRequests()
	before := s.hub.Remaining("")

	const pulls, apart, ttl = 250, 10 * time.Second, time.Minute
	for range pulls {
		s.clock.Pass(apart)
		if err := s.pullAsDocker(nginx, "latest", image, 0); err != nil {
			t.Fatal(err)
		}
	}
	asked := s.hub.Counters()
	if left := s.hub.Remaining(""); left != before || asked.ManifestGETs+asked.BlobGETs != 0 {
		t.Errorf("%d pulls were left, %d are now; the Hub saw %+v", before, left, asked)
	}
	if most := int64(pulls * apart / ttl); asked.ManifestHEADs == 0 || asked.ManifestHEADs > most+1 {
		t.Errorf("the tag was checked %d times in %s, want one HEAD in each %s", asked.ManifestHEADs, pulls*apart, ttl)
	}
}

// pullAsDocker sends what docker does for an image with an index: HEAD for the tag,
// GET for the index and the platform by digest, then config and layers at once.
func (s *stack) pullAsDocker(base, tag string, image hubsim.Pushed, platform int) error {
	head, err := s.try(s.t.Context(), request{method: http.MethodHead, path: base + "manifests/" + tag})
	if err != nil {
		return err
	}
	if d := head.header.Get("Docker-Content-Digest"); head.status != http.StatusOK || d != image.Digest.String() {
		return fmt.Errorf("HEAD %s%s: %d, digest %q", base, tag, head.status, d)
	}
	m := image.Manifests[platform]
	paths := []string{"manifests/" + image.Digest.String(), "manifests/" + m.Digest.String(), "blobs/" + m.Config.Digest.String()}
	for _, l := range m.Layers {
		paths = append(paths, "blobs/"+l.Digest.String())
	}
	for _, path := range paths {
		got, err := s.try(s.t.Context(), request{path: base + path})
		if err := errors.Join(err, got.err); err != nil {
			return fmt.Errorf("GET %s%s: %w", base, path, err)
		}
		_, want, _ := strings.Cut(path, "/")
		if got.status != http.StatusOK || digest.FromBytes(got.body).String() != want {
			return fmt.Errorf("GET %s%s: %d with %d bytes", base, path, got.status, len(got.body))
		}
	}
	return nil
}
