package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/larder-registry/larder/internal/hubsim"
)

// newDocker starts Docker's engine on a machine of its own, which holds no image yet,
// with Larder's mirror listener as its registry mirror. It returns docker, the engine's
// command line.
func (s *stack) newDocker(t *testing.T) *program {
	t.Helper()
	return newDockerWith(t, "{}", "--registry-mirror=http://"+s.mirror)
}

// newDockerWith starts it with settings and flags.
func newDockerWith(t *testing.T, settings string, flags ...string) *program {
	t.Helper()
	needRoot(t)
	daemon := newProgram(t, "dockerd")
	find(t, "containerd") // which the engine starts
	in := func(name string) string { return filepath.Join(daemon.home, name) }
	// The engine leaves its network namespace mounted.
	t.Cleanup(func() { _ = unix.Unmount(in("exec/netns/default"), unix.MNT_DETACH) })
	startDaemon(daemon, append(flags, "--config-file", daemon.write("daemon.json", settings),
		"--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"), "--host", "unix://"+in("d.sock"),
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--storage-driver=vfs",
	)...).await("API listen on")
	docker := newProgram(t, "docker")
	docker.args = []string{"--host", "unix://" + in("d.sock")}
	return docker
}

// login logs in as the admin.
func (s *stack) login(docker *program) {
	docker.t.Helper()
	docker.runWith(adminPassword, "login", "--username", "admin", "--password-stdin", s.main)
}

// imageID is what the engine calls an image: the digest of its config.
func imageID(docker *program, image string) string {
	docker.t.Helper()
	return strings.TrimSpace(docker.run("image", "inspect", "--format", "{{.Id}}", image))
}

func TestDockerPullsThroughItsRegistryMirrorAndByNameAtTheCostOfOnePull(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", hubImage(1))
	id := image.Manifests[0].Config.Digest.String()
	docker := s.newDocker(t)

	docker.run("pull", "nginx")
	s.hubSaw(image, 1,
		"GET /v2/library/nginx/blobs/CONFIG-A 307",
		"GET /v2/library/nginx/blobs/LAYER-A1 307",
		"GET /v2/library/nginx/blobs/LAYER-A2 307",
		"GET /v2/library/nginx/manifests/MANIFEST-A 200",
		"HEAD /v2/library/nginx/manifests/latest 200",
	)
	if got := imageID(docker, "nginx"); got != id {
		t.Errorf("by the mirror came %s, want %s", got, id)
	}

	docker.run("image", "rm", "nginx")
	byName := "localhost" + strings.TrimPrefix(s.main, "127.0.0.1") + "/docker-hub/library/nginx"
	docker.run("pull", byName)
	if got := imageID(docker, byName); got != id {
		t.Errorf("by name came %s, want %s", got, id)
	}
	s.hubSawNothing()
}

func TestDockerPushesToAHostedProjectAndPullsItBack(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", hubImage(1))
	docker := s.newDocker(t)
	own := s.main + "/demo/team/nginx:1"
	docker.run("pull", "nginx")
	docker.run("tag", "nginx", own)

	s.login(docker)
	docker.run("push", own)
	docker.run("image", "rm", "nginx", own)
	docker.run("pull", own)

	if got, want := imageID(docker, own), image.Manifests[0].Config.Digest.String(); got != want {
		t.Errorf("image %s came back, want %s", got, want)
	}
}

func TestDockerTellsWhyAPushIsRefused(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	s.hub.AddImage("library/nginx", "latest", hubImage(1))
	docker := s.newDocker(t)
	docker.run("pull", "nginx")
	cached, own := s.main+"/docker-hub/library/mine:1", s.main+"/demo/mine:1"
	docker.run("tag", "nginx", cached)
	docker.run("tag", "nginx", own)

	t.Run("without a login", func(t *testing.T) {
		wants(t, docker.fails("push", own), "denied: log in to this registry to push demo/mine")
	})
	t.Run("into a cache project without a login", func(t *testing.T) {
		wants(t, docker.fails("push", cached), "denied: log in to this registry to push docker-hub/library/mine")
	})
	s.login(docker)
	t.Run("into a cache project while there is no hosted one", func(t *testing.T) {
		wants(t, docker.fails("push", cached), "project docker-hub mirrors an upstream registry and takes no pushes: "+
			"make a project with larder new-project demo, and push to demo/mine")
	})
	docker.run("push", own)
	t.Run("into a cache project beside a hosted one", func(t *testing.T) {
		wants(t, docker.fails("push", cached), "project docker-hub mirrors an upstream registry and takes no pushes: "+
			"push to a hosted project, for example to demo/mine")
	})
}

func TestDockerIsToldThatAPasswordIsWrong(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	docker := s.newDocker(t)

	wants(t, docker.fails("login", "--username", "admin", "--password", "wrong", s.main), "unauthorized: ")
}

func TestDockerPullsWhatIsCachedWhenTheHubHasNoPullsLeft(t *testing.T) {
	s := newStack(t, hubsim.Options{AnonymousLimit: 1}, alwaysCheck)
	held := s.hub.AddImage("library/held", "latest", hubImage(1))
	other := s.hub.AddImage("library/other", "latest", hubImage(2))
	docker := s.newDocker(t)
	docker.run("pull", s.main+"/docker-hub/held")
	docker.run("image", "rm", s.main+"/docker-hub/held")
	s.hub.TagMoved("library/held", "latest", hubImage(3))

	docker.run("pull", s.main+"/docker-hub/held")
	if got, want := imageID(docker, s.main+"/docker-hub/held"), held.Manifests[0].Config.Digest.String(); got != want {
		t.Errorf("image %s came, want the one that is held, %s", got, want)
	}
	wants(t, docker.fails("pull", s.main+"/docker-hub/other"),
		"toomanyrequests: You have reached your pull rate limit, Docker Hub's, upstream of project docker-hub: library/other ("+other.Digest.String()+
			") is not in the cache. Try again later, or have the operator of this registry add credentials for the upstream. See http://"+s.main+
			"/limits. To see what happened: larder explain ")
}

func TestDockerPullsWhatIsCachedThroughItsRegistryMirrorWithoutTheHub(t *testing.T) {
	s := newStack(t, hubsim.Options{}, alwaysCheck)
	image := s.hub.AddImage("library/nginx", "latest", multiPlatform(hubsim.Docker))
	docker := s.newDocker(t)
	docker.run("pull", "nginx")
	docker.run("image", "rm", "nginx")

	s.hubGoes()

	docker.run("pull", "nginx")
	if got, want := imageID(docker, "nginx"), image.Manifests[0].Config.Digest.String(); got != want {
		t.Errorf("image %s came, want %s", got, want)
	}
}
