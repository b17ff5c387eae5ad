package e2e_test

import (
	"path/filepath"
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
