package server_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
)

// known is what the data folder knows of the manifests of a repository; Larder must
// not be running.
func (s *stack) known(repository string) []metadata.ManifestLink {
	s.t.Helper()
	db, err := metadata.Open(s.t.Context(), filepath.Join(s.data, "metadata.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	all, err := db.Manifests.Links(s.t.Context(), repository, "", 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func TestWhatWasPulledIsKnownAfterAShutdown(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	pushed := s.pushImage("demo/app", "1")
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{1000}, Platforms: bothPlatforms})
	amd64, arm64 := image.Manifests[0].Digest, image.Manifests[1].Digest
	s.send(request{path: "/v2/nginx/manifests/latest", mirror: true}).wants(t, 200, "larder; fwd=miss; stored")
	s.get(nginx+"manifests/"+amd64.String()).wants(t, 200, "larder; fwd=miss; stored")
	s.head(nginx+"manifests/"+arm64.String()).wants(t, 200, "larder; fwd=miss; fwd-status=200")
	s.send(request{method: http.MethodHead, path: "/v2/demo/app/manifests/1", admin: true})
	s.stop()
	got := map[string]bool{}
	for _, m := range append(s.known("docker-hub/library/nginx"), s.known("demo/app")...) {
		got[m.Digest.String()] = !m.PulledAt.IsZero()
	}
	want := map[string]bool{image.Digest.String(): true, amd64.String(): true, pushed.String(): false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is held, and whether it was pulled (-want +got):\n%s", diff)
	}
}
