package e2e_test

import (
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestDockerAndPodmanSearchWhatTheCallerMaySee(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	s.hub.AddImage("library/nginx", "latest", hubImage(1))
	docker, podman := s.newDocker(t), newPodman(t, insecure(s.main))
	docker.run("pull", s.main+"/docker-hub/library/nginx")
	docker.run("tag", s.main+"/docker-hub/library/nginx", s.main+"/demo/nginx-inside:1")
	s.login(docker)
	docker.run("push", s.main+"/demo/nginx-inside:1")

	got := docker.run("search", s.main+"/nginx")
	wants(t, got, "docker-hub/library/nginx")
	wants(t, got, "demo/nginx-inside")
	docker.run("logout", s.main)
	seen := map[string]string{
		"docker": docker.run("search", s.main+"/nginx"),
		"podman": podman.run("search", s.main+"/nginx"),
	}
	for client, got := range seen {
		wants(t, got, "docker-hub/library/nginx")
		if strings.Contains(got, "demo/nginx-inside") {
			t.Errorf("%s shows strangers a private repository:\n%s", client, got)
		}
	}
	podman.runWith(adminPassword, "login", "--username", "admin", "--password-stdin", s.main)
	wants(t, podman.run("search", s.main+"/nginx"), s.main+"/demo/nginx-inside")
}
