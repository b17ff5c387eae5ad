package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

// files are what larder mirrors writes for a client, below a folder.
func (s *stack) files(client string) (folder string) {
	s.t.Helper()
	folder = filepath.Join(s.larder.home, "files-"+client)
	s.larder.run("mirrors", "--for", client, "--url", "http://"+s.main, "--mirror-url", "http://"+s.mirror, "--to", folder)
	return folder
}

func (s *stack) file(client, path string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.files(client), path))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func TestNodesPullByTheFilesThatAreWrittenForThem(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", multiPlatform(hubsim.OCI))
	const name = "docker.io/library/nginx:latest"
	clients := map[string]func(*testing.T){
		"containerd": func(t *testing.T) {
			ctr := newContainerd(t)
			ctr.run("images", "pull", "--hosts-dir", filepath.Join(s.files("containerd"), "etc/containerd/certs.d"), "--snapshotter", "native", name)
		},
		"podman": func(t *testing.T) {
			newPodman(t, s.file("podman", "etc/containers/registries.conf.d/larder.conf")).run("pull", name)
		},
		"docker": func(t *testing.T) {
			newDockerWith(t, s.file("docker", "etc/docker/daemon.json")).run("pull", name)
		},
	}
	for client, pull := range clients {
		t.Run(client, pull)
	}
	if counted := s.hub.Counters().PullsCounted; counted != 2 { // the index, and the platform's image
		t.Errorf("the Hub counted %d pulls of %s", counted, image.Digest)
	}
}
