package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	nginx    = "/v2/docker-hub/library/nginx/"
	hello    = "GET /v2/ 401"
	token    = "GET auth/token repository:library/nginx:pull 200"
	hubNginx = "/v2/library/nginx/"
)

func TestAColdPullAsksForEachManifestAndBlobOnce(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{60_000}, Platforms: bothPlatforms})
	amd64 := image.Manifests[0]

	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	s.get(nginx+"manifests/"+amd64.Digest.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, amd64.Digest)
	s.get(nginx+"blobs/"+amd64.Config.Digest.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, amd64.Config.Digest)
	s.get(nginx+"blobs/"+amd64.Layers[0].Digest.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, amd64.Layers[0].Digest)

	s.hubSaw(names(image),
		hello, token,
		"GET "+hubNginx+"manifests/latest 200",
		"GET "+hubNginx+"manifests/MANIFEST-A 200",
		"GET "+hubNginx+"blobs/CONFIG-A 307", "GET cdn/CONFIG-A 200",
		"GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200",
	)
	if leaked := s.hub.CredentialsLeaked(); len(leaked) > 0 {
		t.Errorf("credentials went to the CDN: %v", leaked)
	}
}

func TestAWarmPullAsksNothing(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	s.hub.ResetRequests()

	s.head(nginx+"manifests/latest").wants(t, 200, "larder; hit")
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit").is(t, image.Digest)
	s.get(nginx+"manifests/"+image.Digest.String()).wants(t, 200, "larder; hit").is(t, image.Digest)
	s.get(nginx+"blobs/"+image.Manifests[0].Layers[0].Digest.String()).wants(t, 200, "larder; hit")
	s.hubSaw(nil)
}

func TestWhatIsCachedOutlivesARestart(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	s.hub.ResetRequests()
	s.restart()

	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit").is(t, image.Digest)
	s.get(nginx+"blobs/"+image.Manifests[0].Layers[0].Digest.String()).wants(t, 200, "larder; hit")
	s.hubSaw(nil)
}

func TestAHEADForATagNeverSeenCostsNoPull(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))

	got := s.head(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; fwd-status=200")
	if got.header.Get("Docker-Content-Digest") != image.Digest.String() {
		t.Errorf("announced %s", got.header.Get("Docker-Content-Digest"))
	}
	s.head(nginx+"manifests/latest").wants(t, 200, "larder; hit")
	s.hubSaw(names(image),
		hello, token,
		"HEAD "+hubNginx+"manifests/latest 200",
	)
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	s.hubSaw(names(image), "GET "+hubNginx+"manifests/MANIFEST-A 200")
}

func TestPastItsTTLATagWithTheSameDigestCostsOneHEAD(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	s.hub.ResetRequests()
	s.clock.Pass(61 * time.Second)

	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=stale; fwd-status=200; detail=revalidated").is(t, image.Digest)
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit")
	s.hubSaw(names(image), "HEAD "+hubNginx+"manifests/latest 200")
}

func TestAMovedTagIsAnnouncedOnlyOnceItsManifestIsHeld(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	old := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", old)
	s.hub.ResetRequests()
	moved := s.hub.AddImage("library/nginx", "latest", small(2))
	s.clock.Pass(61 * time.Second)
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.PullLimit429, Method: http.MethodGet, Path: hubsim.ManifestPath})

	got := s.head(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-1; detail=stale-if-error")
	if d := got.header.Get("Docker-Content-Digest"); d != old.Digest.String() {
		t.Fatalf("announced %s, whose manifest is not held", d)
	}
	if got.header.Get("Warning") == "" || got.header.Get("Age") != "61" {
		t.Errorf("Warning %q, Age %q", got.header.Get("Warning"), got.header.Get("Age"))
	}
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-1; detail=stale-if-error").is(t, old.Digest)
	s.hubSaw(names(moved),
		"HEAD "+hubNginx+"manifests/latest 200",
		"GET "+hubNginx+"manifests/MANIFEST-A 429",
	)

	restore()
	s.clock.Pass(6 * time.Hour)
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=stale; fwd-status=200; stored").is(t, moved.Digest)
	s.hubSaw(names(moved),
		token, "HEAD "+hubNginx+"manifests/latest 200",
		"GET "+hubNginx+"manifests/MANIFEST-A 200",
	)
}

func TestThePlatformsPulledFromTheOldIndexComeWithTheNewOne(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	old := s.hub.AddImage("library/nginx", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{4096}, Platforms: bothPlatforms})
	s.get(nginx+"manifests/latest").is(t, old.Digest)
	s.get(nginx+"manifests/"+old.Manifests[1].Digest.String()).is(t, old.Manifests[1].Digest)
	s.hub.ResetRequests()
	moved := s.hub.AddImage("library/nginx", "latest", hubsim.Image{Seed: 2, LayerSizes: []int64{4096}, Platforms: bothPlatforms})
	s.clock.Pass(61 * time.Second)

	s.head(nginx+"manifests/latest").wants(t, 200, "larder; fwd=stale; fwd-status=200; stored")
	s.hubSaw(names(moved),
		"HEAD "+hubNginx+"manifests/latest 200",
		"GET "+hubNginx+"manifests/INDEX 200",
		"GET "+hubNginx+"manifests/MANIFEST-B 200",
	)
	s.get(nginx+"manifests/"+moved.Manifests[1].Digest.String()).wants(t, 200, "larder; hit")
	s.hubSaw(names(moved))
}

func TestADigestIsNotAskedForAgainWhileItIsHeld(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	path := nginx + "manifests/" + image.Digest.String()

	s.get(path).wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	s.hubSaw(names(image), hello, token, "GET "+hubNginx+"manifests/MANIFEST-A 200")
	s.clock.Pass(30 * time.Minute)
	s.hub.Delete("library/nginx")
	s.get(path).wants(t, 200, "larder; hit").is(t, image.Digest)
	s.hubSaw(names(image))
}

func TestANotFoundIsRememberedForTenSeconds(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.hub.AddImage("library/nginx", "latest", small(1))

	s.get(nginx+"manifests/nope").wants(t, 404, "larder; fwd=miss; fwd-status=404")
	s.get(nginx+"manifests/nope").wants(t, 404, "larder; fwd=miss; fwd-status=404")
	s.hubSaw(nil, hello, token, "GET "+hubNginx+"manifests/nope 404")
}

// pullAll pulls a tag and all that it refers to.
func (s *stack) pullAll(base, tag string, image hubsim.Pushed) {
	s.t.Helper()
	s.get(base+"manifests/"+tag).is(s.t, image.Digest)
	for _, m := range image.Manifests {
		s.get(base+"manifests/"+m.Digest.String()).is(s.t, m.Digest)
		s.get(base+"blobs/"+m.Config.Digest.String()).is(s.t, m.Config.Digest)
		for _, l := range m.Layers {
			path := base + "blobs/" + l.Digest.String()
			s.get(path).is(s.t, l.Digest)
			s.eventually("a layer is stored", func() bool { return s.head(path).cache() == "larder; hit" })
		}
	}
}
