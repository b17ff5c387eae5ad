package mirror_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/mirror"
)

// secure is a registry with a CA of its own, plain one without TLS.
func secure() mirror.Nodes {
	return mirror.Nodes{Rules: rules(), Listener: "https://registry.example.com:5001", CA: "CERTIFICATE\nOF AN AUTHORITY\n"}
}

func plain() mirror.Nodes {
	return mirror.Nodes{Rules: mirror.DockerHub("127.0.0.1:5000"), Plain: true, Listener: "http://127.0.0.1:5001"}
}

func TestEachClientHasItsFiles(t *testing.T) {
	const ca = "CERTIFICATE\nOF AN AUTHORITY\n"
	tests := []struct {
		client string
		nodes  mirror.Nodes
		want   []mirror.File
	}{
		{"containerd", secure(), []mirror.File{
			{"/etc/containerd/certs.d/docker.io/hosts.toml", `# Kubernetes reads this if config_path in /etc/containerd/config.toml is "/etc/containerd/certs.d".
# Where Larder does not answer, containerd goes to the server itself.
server = "https://registry-1.docker.io"

[host."https://registry.example.com"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/docker.io/larder-ca.crt"
`},
			{"/etc/containerd/certs.d/docker.io/larder-ca.crt", ca},
			{"/etc/containerd/certs.d/quay.example/hosts.toml", `# Kubernetes reads this if config_path in /etc/containerd/config.toml is "/etc/containerd/certs.d".
# Where Larder does not answer, containerd goes to the server itself.
server = "https://quay.example"

[host."https://registry.example.com"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/certs.d/quay.example/larder-ca.crt"
`},
			{"/etc/containerd/certs.d/quay.example/larder-ca.crt", ca},
			{"/etc/containerd/certs.d/registry.example.com/larder-ca.crt", ca},
		}},
		{"k3s", secure(), []mirror.File{
			{"/etc/rancher/k3s/registries.yaml", `# Read when k3s starts. Where Larder does not answer, it goes to the registry itself.
mirrors:
  "docker.io":
    endpoint: ["https://registry.example.com"]
  "quay.example":
    endpoint: ["https://registry.example.com"]
configs:
  "registry.example.com":
    tls: {ca_file: "/etc/rancher/k3s/larder-ca.crt"}
`},
			{"/etc/rancher/k3s/larder-ca.crt", ca},
		}},
		{"crio", secure(), []mirror.File{
			{"/etc/containers/registries.conf.d/larder.conf", `# Where Larder does not answer, images come from the location itself.

[[registry]]
prefix = "docker.io"
location = "docker.io"

[[registry.mirror]]
location = "registry.example.com/docker-hub"

[[registry]]
prefix = "quay.example"
location = "quay.example"

[[registry.mirror]]
location = "registry.example.com/quay"
`},
			{"/etc/containers/certs.d/registry.example.com/ca.crt", ca},
		}},
		{"podman", plain(), []mirror.File{{"/etc/containers/registries.conf.d/larder.conf", `# Where Larder does not answer, images come from the location itself.

[[registry]]
prefix = "docker.io"
location = "docker.io"

[[registry.mirror]]
location = "127.0.0.1:5000/docker-hub"
insecure = true
`}}},
		{"openshift", secure(), []mirror.File{{"larder-mirrors.yaml", `---
apiVersion: config.openshift.io/v1
kind: ImageTagMirrorSet
metadata: {name: larder}
spec:
  imageTagMirrors:
  - source: docker.io
    mirrors: ["registry.example.com/docker-hub"]
    mirrorSourcePolicy: AllowContactingSource
  - source: quay.example
    mirrors: ["registry.example.com/quay"]
    mirrorSourcePolicy: AllowContactingSource
---
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {name: larder}
spec:
  imageDigestMirrors:
  - source: docker.io
    mirrors: ["registry.example.com/docker-hub"]
    mirrorSourcePolicy: AllowContactingSource
  - source: quay.example
    mirrors: ["registry.example.com/quay"]
    mirrorSourcePolicy: AllowContactingSource
---
apiVersion: v1
kind: ConfigMap
metadata: {name: larder-ca, namespace: openshift-config}
data:
  "registry.example.com": |
    CERTIFICATE
    OF AN AUTHORITY
---
# If the cluster trusts other authorities already, add the one above to their ConfigMap instead.
apiVersion: config.openshift.io/v1
kind: Image
metadata: {name: cluster}
spec: {additionalTrustedCA: {name: larder-ca}}
`}}},
		{"docker", secure(), []mirror.File{
			{"/etc/docker/daemon.json", "{\n  \"registry-mirrors\": [\n    \"https://registry.example.com:5001\"\n  ]\n}\n"},
			{"/etc/docker/certs.d/registry.example.com:5001/ca.crt", ca},
		}},
		{"docker", plain(), []mirror.File{{"/etc/docker/daemon.json", `{
  "insecure-registries": [
    "127.0.0.1:5001"
  ],
  "registry-mirrors": [
    "http://127.0.0.1:5001"
  ]
}
`}}},
		{"dind", plain(), []mirror.File{{".gitlab-ci.yml", `services:
- name: docker:dind
  command: ["--registry-mirror=http://127.0.0.1:5001", "--insecure-registry=127.0.0.1:5001"]
`}}},
		{"buildkit", secure(), []mirror.File{
			{"/etc/buildkit/buildkitd.toml", `[registry."docker.io"]
  mirrors = ["registry.example.com/docker-hub"]
[registry."quay.example"]
  mirrors = ["registry.example.com/quay"]
[registry."registry.example.com"]
  ca = ["/etc/buildkit/larder-ca.crt"]
`},
			{"/etc/buildkit/larder-ca.crt", ca},
		}},
		{"buildkit", plain(), []mirror.File{{"/etc/buildkit/buildkitd.toml", `[registry."docker.io"]
  mirrors = ["127.0.0.1:5000/docker-hub"]
[registry."127.0.0.1:5000"]
  http = true
`}}},
		{"kaniko", secure(), []mirror.File{
			{"kaniko-arguments.txt", "--registry-mirror=registry.example.com:5001\n--registry-certificate=registry.example.com:5001=/kaniko/ssl/certs/larder-ca.crt\n"},
			{"/kaniko/ssl/certs/larder-ca.crt", ca},
		}},
		{"kaniko", plain(), []mirror.File{{"kaniko-arguments.txt", "--registry-mirror=127.0.0.1:5001\n--insecure-registry=127.0.0.1:5001\n--insecure-pull\n"}}},
	}
	seen := map[string]bool{"buildah": true} // it reads what podman reads
	for _, tt := range tests {
		seen[tt.client] = true
		t.Run(tt.client, func(t *testing.T) {
			got, err := tt.nodes.Files(tt.client)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the files are not as wanted (-want +got):\n%s", diff)
			}
		})
	}
	for _, client := range mirror.Clients() {
		if !seen[client] {
			t.Errorf("%s has no test", client)
		}
	}
}

func TestAClientThatNeedsTheMirrorListenerSaysSo(t *testing.T) {
	n := secure()
	n.Listener = ""
	for _, client := range []string{"docker", "dind", "kaniko"} {
		if _, err := n.Files(client); err == nil || !strings.Contains(err.Error(), "--mirror-listen") {
			t.Errorf("%s: %v", client, err)
		}
	}
	if _, err := n.Files("pouch"); err == nil || !strings.Contains(err.Error(), `"pouch" is not known: it is one of buildah, buildkit, containerd`) {
		t.Error(err)
	}
}
