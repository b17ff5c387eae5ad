package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

// faults of the Hub, and the status of an answer that cannot be given from the cache.
var faults = []struct {
	name  string
	fault hubsim.Fault
	cold  int
	code  string
}{
	{"down", hubsim.Fault{Kind: hubsim.Down}, 503, "UPSTREAM_UNAVAILABLE"},
	{"500", hubsim.Fault{Kind: hubsim.Status500, Path: hubsim.ManifestPath}, 503, "UPSTREAM_UNAVAILABLE"},
	{"502", hubsim.Fault{Kind: hubsim.Status502, Path: hubsim.ManifestPath}, 503, "UPSTREAM_UNAVAILABLE"},
	{"503", hubsim.Fault{Kind: hubsim.Status503, Path: hubsim.ManifestPath}, 503, "UPSTREAM_UNAVAILABLE"},
	{"403", hubsim.Fault{Kind: hubsim.Forbidden403, Path: hubsim.ManifestPath}, 404, "MANIFEST_UNKNOWN"},
	{"404", hubsim.Fault{Kind: hubsim.NotFound404, Path: hubsim.ManifestPath}, 404, "MANIFEST_UNKNOWN"},
	{"401 again and again", hubsim.Fault{Kind: hubsim.Unauthorized401, Path: hubsim.ManifestPath}, 404, "MANIFEST_UNKNOWN"},
	{"token service down", hubsim.Fault{Kind: hubsim.Down, Service: hubsim.Auth}, 503, "UPSTREAM_UNAVAILABLE"},
	{"stalled before the headers", hubsim.Fault{Kind: hubsim.StalledBeforeHeaders, Path: hubsim.ManifestPath}, 504, "UPSTREAM_TIMEOUT"},
	{"pull limit reached", hubsim.Fault{Kind: hubsim.PullLimit429, Path: hubsim.ManifestPath}, 429, "TOOMANYREQUESTS"},
	{"abuse limit reached", hubsim.Fault{Kind: hubsim.AbuseLimit429, Path: hubsim.ManifestPath}, 429, "TOOMANYREQUESTS"},
	{"a captive portal", hubsim.Fault{Kind: hubsim.Page200, Path: hubsim.ManifestPath}, 502, "UPSTREAM_INVALID"},
	{"repository gone", hubsim.Fault{}, 404, "MANIFEST_UNKNOWN"},
}

func (s *stack) inject(fault hubsim.Fault) (restore func()) {
	if fault.Kind == 0 {
		return s.hub.RepositoryGone("library/nginx")
	}
	return s.hub.Break(fault)
}

func TestWhateverTheHubDoesACachedTagIsServedWithinASecondMarkedStale(t *testing.T) {
	for _, test := range faults {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, hubsim.Options{TokenLife: time.Minute}, "")
			if test.fault.Kind == hubsim.StalledBeforeHeaders {
				s.losesPatience()
			}
			image := s.hub.AddImage("library/nginx", "latest", small(1))
			s.pullAll(nginx, "latest", image)
			s.clock.Pass(2 * time.Minute)
			s.inject(test.fault)

			for _, method := range []string{http.MethodHead, http.MethodGet} {
				began := time.Now()
				got := s.send(request{method: method, path: nginx + "manifests/latest"})
				got.wants(t, 200, "larder; hit; ttl=-60; detail=stale-if-error")
				if took := time.Since(began); took > 15*time.Second { // a slow machine's second, and half of what a silent Hub would take
					t.Errorf("%s took %s", method, took)
				}
				if warning := got.header.Get("Warning"); !strings.HasPrefix(warning, `299 - "`) || got.header.Get("Age") != "120" {
					t.Errorf("Warning %q, Age %q", warning, got.header.Get("Age"))
				}
			}
			s.hub.ResetRequests()
			s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-60; detail=stale-if-error").is(t, image.Digest)
			if asked := s.hub.Counters(); asked.ManifestHEADs+asked.Refused > 0 {
				t.Errorf("within the TTL after a failed check the Hub was asked again: %+v", asked)
			}
		})
	}
}

func TestWhatIsNotCachedGetsAClearErrorOfTheSameClass(t *testing.T) {
	for _, test := range faults {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, hubsim.Options{}, "")
			s.hub.AddImage("library/nginx", "latest", small(1))
			if test.fault.Kind == hubsim.StalledBeforeHeaders {
				s.givesUpSoon()
			}
			s.inject(test.fault)
			got := s.get(nginx + "manifests/latest")
			if got.status != test.cold || !strings.Contains(string(got.body), `"`+test.code+`"`) || !strings.Contains(string(got.body), "library/nginx") {
				t.Errorf("got %d %s, want %d with %s", got.status, got.body, test.cold, test.code)
			}
			if got.status == 429 && got.header.Get("Retry-After") == "" {
				t.Error("a 429 without Retry-After")
			}
			if !strings.HasPrefix(got.cache(), "larder; fwd=miss") {
				t.Errorf("Cache-Status %q", got.cache())
			}
		})
	}
}

func TestASlowHubIsWaitedForWhenNothingIsCached(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.Break(hubsim.Fault{Kind: hubsim.Slow, Path: hubsim.ManifestPath, Delay: 600 * time.Millisecond})
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
}

func TestASlowHubDoesNotHoldBackACachedTag(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	s.losesPatience()
	s.clock.Pass(61 * time.Second)
	s.hub.Break(hubsim.Fault{Kind: hubsim.Slow, Path: hubsim.ManifestPath, Delay: 700 * time.Millisecond})
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-1; detail=stale-if-error").is(t, image.Digest)
	s.eventually("the check's answer counts", func() bool { return s.get(nginx+"manifests/latest").cache() == "larder; hit" })
}

func TestAnExpiredCertificateOfTheHubIsAnErrorNobodyCanOverlook(t *testing.T) {
	s := newHubTLSStack(t, hubsim.Options{TLS: true})
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	s.clock.Pass(61 * time.Second)
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.BadCertificate})
	defer restore()
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-1; detail=stale-if-error").is(t, image.Digest)
	if got := s.get(nginx + "manifests/other"); got.status != 503 || !strings.Contains(string(got.body), "certificate") {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestTheExpiryOfATokenInTheMiddleIsNotNoticed(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	s.hub.Break(hubsim.Fault{Kind: hubsim.Unauthorized401, Path: hubsim.BlobPath, Times: 1})
	layer := image.Manifests[0].Layers[0].Digest
	s.get(nginx+"blobs/"+layer.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
}

func TestEveryAnswerOfACacheProjectCarriesCacheStatus(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	for _, path := range []string{
		nginx + "manifests/latest", nginx + "manifests/nope", nginx + "tags/list",
		nginx + "referrers/" + image.Digest.String(), nginx + "blobs/" + image.Digest.String(),
	} {
		if got := s.get(path); !strings.HasPrefix(got.cache(), "larder") {
			t.Errorf("%s: %d without Cache-Status", path, got.status)
		}
	}
	put := s.send(request{method: http.MethodPut, path: nginx + "manifests/latest", admin: true})
	if put.status != 405 || !strings.HasPrefix(put.cache(), "larder") || !strings.Contains(string(put.body), "UNSUPPORTED") {
		t.Errorf("a push got %d, Cache-Status %q: %s", put.status, put.cache(), put.body)
	}
}

// newHubTLSStack is newStack with a Hub that speaks TLS by an authority of its own.
func newHubTLSStack(t *testing.T, options hubsim.Options) *stack {
	t.Helper()
	s := newStackWith(t, options, func(hub *hubsim.Hub) string {
		ca := writeFile(t, "ca.pem", string(hub.CAPEM()))
		return fmt.Sprintf("upstreams:\n- name: docker-hub\n  ca: %s\n", ca)
	})
	return s
}
