package server_test

import (
	"net/http"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestARepositoryIsFoundByTheNamesThatPullsKnowAndByNoImages(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.hub.AddImage("library/nginx", "1", small(1))
	s.get(nginx + "manifests/1")
	const repositories = "/api/v1/projects/docker-hub/repositories/"
	for _, name := range []string{"nginx:1", "nginx@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			if got := s.send(request{method: method, path: repositories + name, admin: true}); got.status != http.StatusNotFound {
				t.Errorf("%s of %s got %d: %s", method, name, got.status, got.body)
			}
		}
	}
	for _, name := range []string{"nginx", "library%2Fnginx"} {
		if got := s.send(request{path: repositories + name, admin: true}); got.status != http.StatusOK {
			t.Errorf("%s got %d: %s", name, got.status, got.body)
		}
	}
}
