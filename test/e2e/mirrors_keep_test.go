package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestContainerdPullsByTheFilesThatAreKeptOnItsNode(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	image := s.hub.AddImage("library/nginx", "latest", multiPlatform(hubsim.OCI))
	keeper := newLarder(t)
	others := keeper.write("node/etc/containerd/certs.d/quay.io/hosts.toml", "of somebody else\n")
	certs := filepath.Dir(filepath.Dir(others))
	daemon := startDaemon(keeper, "mirrors", "--for", "containerd", "--url", "http://"+s.main, "--registry", "docker.io=docker-hub",
		"--registry", "quay.io=quay", "--to", "node", "--keep")
	daemon.await("files of the mirrors are written")
	daemon.await("quay.io/hosts.toml: it is somebody else's")
	daemon.await("sets no config_path")

	ctr := newContainerd(t)
	ctr.run("images", "pull", "--hosts-dir", certs, "--snapshotter", "native", "docker.io/library/nginx:latest")
	wants(t, ctr.run("images", "list"), image.Digest.String())
	s.daemon.await(`"path":"/v2/library/nginx/manifests/latest","ns":"docker.io"`)

	if err := daemon.terminate(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(certs, "docker.io")); !os.IsNotExist(err) {
		t.Errorf("its files are left: %v", err)
	}
	if got := read(t, others); got != "of somebody else\n" {
		t.Errorf("the file of somebody else says %q", got)
	}
}
