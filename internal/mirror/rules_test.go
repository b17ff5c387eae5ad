package mirror_test

import (
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/mirror"
)

const (
	host = "registry.example.com"
	hub  = host + "/docker-hub/"
)

var digest = "sha256:" + strings.Repeat("0123456789abcdef", 4)

// rules mirror Docker Hub and one more registry.
func rules() mirror.Rules {
	r := mirror.DockerHub(host)
	r.Caches["quay.example"] = "quay"
	return r
}

// images are names and what they become; an empty one stays as it is.
func images() map[string]string {
	return map[string]string{
		// Docker Hub's own images.
		"nginx":                                 hub + "library/nginx:latest",
		"nginx:latest":                          hub + "library/nginx:latest",
		"nginx:1.27-alpine":                     hub + "library/nginx:1.27-alpine",
		"nginx:1_27.A-b":                        hub + "library/nginx:1_27.A-b",
		"library/nginx":                         hub + "library/nginx:latest",
		"library/nginx:1":                       hub + "library/nginx:1",
		"docker.io/nginx":                       hub + "library/nginx:latest",
		"docker.io/nginx:latest":                hub + "library/nginx:latest",
		"docker.io/library/nginx":               hub + "library/nginx:latest",
		"docker.io/library/nginx:1":             hub + "library/nginx:1",
		"index.docker.io/nginx:1":               hub + "library/nginx:1",
		"index.docker.io/library/nginx":         hub + "library/nginx:latest",
		"registry-1.docker.io/library/nginx":    hub + "library/nginx:latest",
		"registry-1.docker.io/library/nginx:1":  hub + "library/nginx:1",
		"a":                                     hub + "library/a:latest",
		"localhost":                             hub + "library/localhost:latest",
		"localhost:5000":                        hub + "library/localhost:5000",
		"registry.local:5000":                   hub + "library/registry.local:5000",
		"my-image":                              hub + "library/my-image:latest",
		"my_image.x:v1":                         hub + "library/my_image.x:v1",
		"my__image":                             hub + "library/my__image:latest",
		"my---image":                            hub + "library/my---image:latest",
		"0":                                     hub + "library/0:latest",
		"nginx:" + strings.Repeat("t", 128):     hub + "library/nginx:" + strings.Repeat("t", 128),
		strings.Repeat("a", 236):                hub + "library/" + strings.Repeat("a", 236) + ":latest",
		strings.Repeat("ab", 32):                "", // an image's identity, not its name
		"docker.io/" + strings.Repeat("ab", 32): hub + "library/" + strings.Repeat("ab", 32) + ":latest",
		// Users' and organizations'.
		"grafana/grafana":                      hub + "grafana/grafana:latest",
		"grafana/grafana:latest":               hub + "grafana/grafana:latest",
		"grafana/grafana:11.2.0":               hub + "grafana/grafana:11.2.0",
		"docker.io/grafana/grafana":            hub + "grafana/grafana:latest",
		"docker.io/bitnami/nginx:1":            hub + "bitnami/nginx:1",
		"docker.io/bitnami/nginx:latest":       hub + "bitnami/nginx:latest",
		"index.docker.io/bitnami/nginx:1":      hub + "bitnami/nginx:1",
		"registry-1.docker.io/bitnami/nginx:1": hub + "bitnami/nginx:1",
		"a/b/c/d:1":                            hub + "a/b/c/d:1",
		"docker.io/a/b/c/d":                    hub + "a/b/c/d:latest",
		"docker-hub/library/nginx":             hub + "docker-hub/library/nginx:latest",
		"quay/app":                             hub + "quay/app:latest",
		"my-registry/app:1":                    hub + "my-registry/app:1",
		"gcr/project/image":                    hub + "gcr/project/image:latest",
		// By digest, with and without a tag.
		"nginx@" + digest:                         hub + "library/nginx@" + digest,
		"nginx:1@" + digest:                       hub + "library/nginx:1@" + digest,
		"docker.io/nginx@" + digest:               hub + "library/nginx@" + digest,
		"docker.io/library/nginx:1@" + digest:     hub + "library/nginx:1@" + digest,
		"grafana/grafana@" + digest:               hub + "grafana/grafana@" + digest,
		"index.docker.io/bitnami/nginx@" + digest: hub + "bitnami/nginx@" + digest,
		// Another registry that is mirrored, too.
		"quay.example/org/app":             host + "/quay/org/app:latest",
		"quay.example/org/app:1@" + digest: host + "/quay/org/app:1@" + digest,
		"quay.example/app":                 host + "/quay/app:latest",
		// Other registries'.
		"gcr.io/project/image":                 "",
		"gcr.io/project/image:1":               "",
		"quay.io/organization/image":           "",
		"quay.io/organization/image@" + digest: "",
		"ghcr.io/owner/image:1":                "",
		"registry.k8s.io/pause:3.10":           "",
		"mcr.microsoft.com/dotnet/sdk:8.0":     "",
		"public.ecr.aws/docker/library/nginx":  "",
		"354918371398.dkr.ecr.eu-west-1.amazonaws.com/docker-hub/library/nginx:latest": "",
		"354918371398.dkr.ecr.eu-west-1.amazonaws.com/app":                             "",
		"localhost/app":                  "",
		"localhost:5000/app":             "",
		"localhost:5000/library/nginx:1": "",
		"127.0.0.1:5000/library/nginx":   "",
		"[::1]:5000/library/nginx":       "",
		"registry.local/app":             "",
		"registry:5000/app:1":            "",
		"Docker.io/library/nginx":        "",
		"MyRegistry/app":                 "",
		"docker.io:443/library/nginx":    "",
		"docker.io.evil.example/nginx":   "",
		"evil.example/docker.io/nginx":   "",
		"xdocker.io/nginx":               "",
		"hub.docker.com/nginx":           "",
		"quay.example:443/org/app":       "",
		// Larder's own.
		host + "/docker-hub/library/nginx:1":         "",
		host + "/demo/app":                           "",
		host + "/docker-hub/library/nginx@" + digest: "",
		host + ":5000/docker-hub/library/nginx":      "",
		// What is no image.
		"":                                  "",
		" nginx":                            "",
		"nginx ":                            "",
		"Nginx":                             "",
		"nginx:":                            "",
		"nginx@":                            "",
		"nginx:-1":                          "",
		"nginx:1:2":                         "",
		"nginx@sha256:abc":                  "",
		"nginx@" + digest + "00":            "", // longer than SHA-256 is
		"nginx@sha512:" + digest[7:]:        "",
		"nginx@" + digest + ":1":            "",
		"/nginx":                            "",
		"nginx/":                            "",
		"a//b":                              "",
		"docker.io/":                        "",
		"docker.io":                         hub + "library/docker.io:latest",
		"-nginx":                            "",
		"nginx-":                            "",
		"a..b":                              "",
		"https://docker.io/nginx":           "",
		"ngin\u00d7":                        "",
		"${IMAGE}":                          "",
		"nginx:" + strings.Repeat("t", 129): "",
		strings.Repeat("a", 237):            "", // 256 with the project and library
	}
}

func TestAnImageIsRewrittenToWhereItIsCached(t *testing.T) {
	for image, want := range images() {
		rewritten := want != ""
		if !rewritten {
			want = image
		}
		if got, ok := rules().Rewrite(image); got != want || ok != rewritten {
			t.Errorf("%q became %q (%v), want %q", image, got, ok, want)
		}
	}
}

func TestWhatWasRewrittenStaysAsItIs(t *testing.T) {
	for image := range images() {
		once, _ := rules().Rewrite(image)
		if twice, again := rules().Rewrite(once); again {
			t.Errorf("%q became %q, and then %q", image, once, twice)
		}
	}
}

func TestARegistryThatIsCalledAsItsMirrorIsNotRewritten(t *testing.T) {
	r := mirror.Rules{Host: "docker.io", Caches: map[string]string{"docker.io": "docker-hub"}}
	if got, ok := r.Rewrite("nginx"); ok {
		t.Errorf("nginx became %q", got)
	}
}
