package e2e_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestSkopeoAndPodmanTrustTheSelfSignedAuthority(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "tls: {selfSigned: true}")
	s.hub.AddImage("library/nginx", "latest", hubImage(1))
	authority := read(t, s.daemon.await(`(\S+/ca\.crt)`)[1])
	copyTo := func(p *program) []string {
		return []string{"copy", "docker://" + s.main + "/docker-hub/nginx", "dir:" + filepath.Join(p.home, "nginx")}
	}

	stranger := newSkopeo(t)
	wants(t, stranger.fails(copyTo(stranger.program)...), "x509: ")

	client := newSkopeo(t)
	certs := filepath.Dir(client.write("certs/ca.crt", authority))
	client.run(append(copyTo(client.program), "--src-cert-dir", certs)...)

	podman := newPodman(t, "")
	certs = filepath.Dir(podman.write("certs/ca.crt", authority))
	podman.run("pull", "--cert-dir", certs, s.main+"/docker-hub/library/nginx")
}

func TestContainerdTrustsByThePrintedLineAndIsToldWhatIsMissing(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "tls: {selfSigned: true}")
	s.hub.AddImage("library/nginx", "latest", hubImage(1))
	ctr := newContainerd(t)
	line := s.daemon.await(`# containerd\n\s+(sudo .*)\n`)[1]
	newProgram(t, "sh").run("-c", strings.NewReplacer("/etc/containerd/", ctr.home+"/", "sudo ", "").Replace(line))
	host := s.daemon.await(`certs\.d/(localhost:\d+)/ca\.crt`)[1]
	pull := func(image string) []string {
		return []string{"images", "pull", "--hosts-dir", ctr.home + "/certs.d", "--snapshotter", "native", host + "/docker-hub/library/" + image}
	}
	ctr.run(pull("nginx:latest")...)
	if said := ctr.fails(pull("nginx:missing")...); !strings.Contains(said, "not found") || strings.Contains(said, "x509") {
		t.Errorf("of an image that is missing it is told\n%s", said)
	}
}
