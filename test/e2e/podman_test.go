package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

// newPodman is podman on a machine of its own, which holds no image yet. What is given
// is added to its registries.conf.
func newPodman(t *testing.T, registries string) *program {
	t.Helper()
	needRoot(t)
	p := newProgram(t, "podman")
	p.args = []string{
		"--root", filepath.Join(p.home, "root"), "--runroot", filepath.Join(p.home, "run"),
		"--tmpdir", filepath.Join(p.home, "tmp"), "--storage-driver", "vfs",
	}
	p.write(".config/containers/policy.json", acceptAll)
	// The defaults need systemd, its journal, and the right to raise limits.
	settings := p.write("containers.conf", fmt.Sprintf(`
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
runtime = %q
cgroup_manager = "cgroupfs"
events_logger = "file"
`, find(t, "runc")))
	p.env = append(p.env, "CONTAINERS_CONF="+settings,
		"CONTAINERS_REGISTRIES_CONF="+p.write("registries.conf", registries))
	return p
}

// mirrored is the registries.conf that makes podman ask a mirror for Docker Hub's images.
func mirrored(location string) string {
	return fmt.Sprintf(`
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = %q
insecure = true
`, location)
}

// insecure is the registries.conf for a registry without TLS.
func insecure(location string) string {
	return fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", location)
}

func TestPodmanPullsOfTwoMachinesCostTheHubOne(t *testing.T) {
	tests := []struct {
		name       string
		registries func(*stack) string
		image      func(*stack) string
	}{
		{
			name:       "with Larder's mirror listener as a mirror of docker.io",
			registries: func(s *stack) string { return mirrored(s.mirror) },
			image:      func(*stack) string { return "docker.io/library/nginx:latest" },
		},
		{
			name:       "with the cache project as a mirror of docker.io",
			registries: func(s *stack) string { return mirrored(s.main + "/docker-hub") },
			image:      func(*stack) string { return "docker.io/library/nginx:latest" },
		},
		{
			name:       "by the name in the cache project",
			registries: func(s *stack) string { return insecure(s.main) },
			image:      func(s *stack) string { return s.main + "/docker-hub/nginx:latest" },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStack(t, hubsim.Options{})
			image := s.hub.AddImage("library/nginx", "latest", hubImage(1))

			first := newPodman(t, tt.registries(s))
			first.run("pull", tt.image(s))
			s.hubSaw(image, 1,
				"GET /v2/library/nginx/blobs/CONFIG-A 307",
				"GET /v2/library/nginx/blobs/LAYER-A1 307",
				"GET /v2/library/nginx/blobs/LAYER-A2 307",
				"GET /v2/library/nginx/manifests/latest 200",
			)

			second := newPodman(t, tt.registries(s))
			second.run("pull", tt.image(s))
			s.hubSawNothing()
			if id := strings.TrimSpace(second.run("images", "--no-trunc", "--quiet")); id != image.Manifests[0].Config.Digest.String() {
				t.Errorf("podman holds image %s, want %s", id, image.Manifests[0].Config.Digest)
			}
		})
	}
}

func TestPodmanPushesToAHostedProjectAndPullsItBack(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", hubImage(1))
	builder, node := newPodman(t, insecure(s.main)), newPodman(t, insecure(s.main))
	name := s.main + "/demo/team/nginx:1"

	builder.runWith(adminPassword, "login", "--username", "admin", "--password-stdin", s.main)
	builder.run("pull", s.main+"/docker-hub/library/nginx:latest")
	builder.run("tag", s.main+"/docker-hub/library/nginx:latest", name)
	builder.run("push", name)

	wants(t, node.fails("pull", name), "log in to this registry to pull demo/team/nginx")
	node.runWith(adminPassword, "login", "--username", "admin", "--password-stdin", s.main)
	node.run("pull", name)
	if id := strings.TrimSpace(node.run("images", "--no-trunc", "--quiet")); id != image.Manifests[0].Config.Digest.String() {
		t.Errorf("podman holds image %s, want %s", id, image.Manifests[0].Config.Digest)
	}
}

func TestPodmanIsToldThatAPasswordIsWrong(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	client := newPodman(t, insecure(s.main))

	wants(t, client.fails("login", "--username", "admin", "--password", "wrong", s.main), "invalid username/password")
}
