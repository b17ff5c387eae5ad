package e2e_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

// newContainerd starts containerd on a machine of its own, which holds no image yet,
// and returns ctr, its command line.
func newContainerd(t *testing.T) *program {
	t.Helper()
	needRoot(t)
	daemon := newProgram(t, "containerd")
	in := func(name string) string { return filepath.Join(daemon.home, name) }
	config := daemon.write("config.toml", fmt.Sprintf(`
version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = %q
[ttrpc]
address = %q
[plugins."io.containerd.internal.v1.opt"]
path = %q
`, in("root"), in("state"), in("c.sock"), in("t.sock"), in("opt")))
	startDaemon(daemon, "--config", config).await("containerd successfully booted")
	ctr := newProgram(t, "ctr")
	ctr.args = []string{"--address", in("c.sock")}
	return ctr
}

// hosts writes the folder of hosts.toml files in which Docker Hub is asked through
// Larder's main listener. Larder stands for docker.io's own server there too, or a miss
// would go to the real one.
func (s *stack) hosts(p *program) string {
	p.t.Helper()
	file := p.write("hosts/docker.io/hosts.toml", fmt.Sprintf(`
server = "http://%[1]s"
[host."http://%[1]s"]
capabilities = ["pull", "resolve"]
`, s.main))
	return filepath.Dir(filepath.Dir(file))
}

// pullByHosts is the command line that pulls through Larder, and unpacks with a
// snapshotter that needs nothing of the kernel.
func (s *stack) pullByHosts(ctr *program, image string) []string {
	ctr.t.Helper()
	return []string{"images", "pull", "--hosts-dir", s.hosts(ctr), "--snapshotter", "native", image}
}

func TestContainerdPullsDockerHubsImagesByHostsTOML(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", multiPlatform(hubsim.OCI))

	first := newContainerd(t)
	first.run(s.pullByHosts(first, "docker.io/library/nginx:latest")...)
	s.hubSaw(image, 2,
		"GET /v2/library/nginx/blobs/CONFIG-A 307",
		"GET /v2/library/nginx/blobs/LAYER-A1 307",
		"GET /v2/library/nginx/manifests/INDEX 200",
		"GET /v2/library/nginx/manifests/MANIFEST-A 200",
		"HEAD /v2/library/nginx/manifests/latest 200",
	)
	s.daemon.await(`"path":"/v2/library/nginx/manifests/latest","ns":"docker.io"`)

	ctr := newContainerd(t)
	ctr.run(s.pullByHosts(ctr, "docker.io/library/nginx:latest")...)
	s.hubSawNothing()
	wants(t, first.run("images", "list"), image.Digest.String())
}

func TestContainerdPullsWhatIsCachedWithoutTheHub(t *testing.T) {
	s := newStack(t, hubsim.Options{}, alwaysCheck)
	image := s.hub.AddImage("library/nginx", "latest", multiPlatform(hubsim.OCI))
	ctr := newContainerd(t)
	ctr.run(s.pullByHosts(ctr, "docker.io/library/nginx:latest")...)

	s.hubGoes()

	another := newContainerd(t)
	another.run(s.pullByHosts(another, "docker.io/library/nginx:latest")...)
	wants(t, another.run("images", "list"), image.Digest.String())
	if refused := s.hub.Counters().Refused; refused == 0 {
		t.Error("nobody asked the Hub whether the tag had moved: it was not known to be gone")
	}
}

func TestWhatContainerdPulledOutlivesAKillOfLarderWithoutTheHub(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", multiPlatform(hubsim.OCI))
	ctr := newContainerd(t)
	ctr.run(s.pullByHosts(ctr, "docker.io/library/nginx:latest")...)

	s.hubGoes()
	s.killAndStartAgain()

	another := newContainerd(t)
	another.run(s.pullByHosts(another, "docker.io/library/nginx:latest")...)
	wants(t, another.run("images", "list"), image.Digest.String())
}
