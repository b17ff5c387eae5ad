package server_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
)

func TestWhatIsGoneUpstreamIsMarkedUntilItIsBack(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	since := func() *time.Time {
		t.Helper()
		var tag api.Tag
		got := s.send(request{path: "/api/v1/projects/docker-hub/repositories/library%2Fnginx/tags/latest", admin: true})
		if err := json.Unmarshal(got.body, &tag); err != nil || got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return tag.VanishedAt
	}
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	if at := since(); at != nil {
		t.Fatalf("it is gone since %s", at)
	}
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.NotFound404, Path: hubsim.ManifestPath})
	s.clock.Pass(2 * time.Minute)
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	waitUntil(t, "the tag is marked", func() bool { return since() != nil })
	first := since()
	s.clock.Pass(2 * time.Minute)
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	if at := since(); at == nil || !at.Equal(*first) {
		t.Errorf("it is gone since %v, and before that since %s", at, first)
	}
	restore()
	s.clock.Pass(2 * time.Minute)
	s.get(nginx+"manifests/latest").is(t, image.Digest)
	waitUntil(t, "the mark is gone", func() bool { return since() == nil })
}

// waitUntil waits for what a check does behind its callers' backs.
func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s it does not hold that %s", what)
		}
	}
}
