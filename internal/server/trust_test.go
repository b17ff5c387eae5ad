package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEachClientGetsTheCommandByWhichItTrustsTheAuthority(t *testing.T) {
	want := []string{
		"# docker",
		"sudo install -D -m 0644 /d/tls/ca.crt /etc/docker/certs.d/r.example:5000/ca.crt",
		"# podman, skopeo, buildah",
		"sudo install -D -m 0644 /d/tls/ca.crt /etc/containers/certs.d/r.example:5000/ca.crt",
		"# containerd",
		`sudo install -D -m 0644 /d/tls/ca.crt /etc/containerd/certs.d/r.example:5000/ca.crt && printf '%s\n' 'server = "https://r.example:5000"' 'ca = "/etc/containerd/certs.d/r.example:5000/ca.crt"' '[host."https://r.example:5000"]' '  ca = "/etc/containerd/certs.d/r.example:5000/ca.crt"' | sudo tee /etc/containerd/certs.d/r.example:5000/hosts.toml`,
		"# curl",
		"curl --cacert /d/tls/ca.crt https://r.example:5000/v2/",
		"# everything on a Debian or Ubuntu machine",
		"sudo install -m 0644 /d/tls/ca.crt /usr/local/share/ca-certificates/larder.crt && sudo update-ca-certificates",
	}
	if diff := cmp.Diff(want, TrustLines("r.example:5000", "/d/tls/ca.crt")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestTheCommandsRunInAShell replaces sudo by a program that notes its arguments.
func TestTheCommandsRunInAShell(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{"bin/sudo": "#!/bin/sh\nfor a; do echo \"arg $a\" >&2; done\n[ \"$1\" = tee ] && cat >&2\nexit 0\n"})
	if err := os.Chmod(filepath.Join(dir, "bin", "sudo"), 0o700); err != nil {
		t.Fatal(err)
	}
	caPath := "/srv/it's ours/$HOME/ca.crt"
	var out strings.Builder
	for _, line := range TrustLines("[::1]:5000", caPath) {
		if strings.HasPrefix(line, "curl ") {
			line = "sudo " + line
		}
		command := exec.Command("/bin/sh", "-c", line)
		command.Env = []string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin"}
		command.Stderr = &out
		if err := command.Run(); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if got := strings.Count(out.String(), "arg "+caPath+"\n"); got != 5 {
		t.Errorf("the authority's path arrived whole %d times, want 5:\n%s", got, out.String())
	}
	if !strings.Contains(out.String(), "server = \"https://[::1]:5000\"\nca = \"/etc/containerd/certs.d/[::1]:5000/ca.crt\"\n[host.\"https://[::1]:5000\"]\n  ca = \"/etc/containerd/certs.d/[::1]:5000/ca.crt\"\n") {
		t.Errorf("hosts.toml is not as it should be:\n%s", out.String())
	}
}
