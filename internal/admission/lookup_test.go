package admission_test

import (
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/admission"
	"github.com/larder-registry/larder/internal/metadata"
)

// streams is a configuration in which project demo has the image centos:7, and app:latest,
// which only a pod that asks for all its names is to find.
func streams() admission.Config {
	c := config()
	c.Local = func(_ context.Context, image metadata.LocalImage) (digest.Digest, bool) {
		switch {
		case image.Repository == "demo/centos" && (image.Tag == "7" || image.Digest == centos):
			return centos, true
		case image.Repository == "demo/app" && image.Tag == "latest" && image.Always:
			return app, true
		}
		return "", false
	}
	return c
}

const (
	centos = digest.Digest("sha256:7777777777777777777777777777777777777777777777777777777777777777")
	app    = digest.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
)

func TestShortNamesMeanTheRepositoriesOfTheNamespacesProject(t *testing.T) {
	const own, cached = "registry.example/demo/", "registry.example/docker-hub/"
	tests := map[string]struct{ namespace, annotations, image, want string }{
		"a tag":                        {"demo", `{}`, "centos:7", own + "centos@" + centos.String()},
		"a digest":                     {"demo", `{}`, "centos@" + centos.String(), own + "centos@" + centos.String()},
		"a tag and a digest":           {"demo", `{}`, "centos:6@" + centos.String(), own + "centos@" + centos.String()},
		"another tag":                  {"demo", `{}`, "centos:8", cached + "library/centos:8"},
		"another namespace":            {"shop", `{}`, "centos:7", cached + "library/centos:7"},
		"a name of two parts":          {"demo", `{}`, "library/centos:7", cached + "library/centos:7"},
		"a name with its registry":     {"demo", `{}`, "docker.io/centos:7", cached + "library/centos:7"},
		"a repository not looked up":   {"demo", `{}`, "app", cached + "library/app:latest"},
		"a pod that asks for all":      {"demo", `{"alpha.image.policy.openshift.io/resolve-names":"*"}`, "app", own + "app@" + app.String()},
		"a pod that asks for one":      {"demo", `{"alpha.image.policy.openshift.io/resolve-names":"app"}`, "app", cached + "library/app:latest"},
		"all, of an image's identity":  {"demo", `{"alpha.image.policy.openshift.io/resolve-names":"*"}`, strings.Repeat("ab", 32), ""},
		"all, of no possible name":     {"demo", `{"alpha.image.policy.openshift.io/resolve-names":"*"}`, "App:1", ""},
		"opting out of all rewriting":  {"demo", `{"larder.dev/pull-through-cache":"disabled"}`, "centos:7", ""},
		"a namespace that is left out": {"kube-system", `{}`, "centos:7", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := answer(t, streams(), request{namespace: tt.namespace, pod: `{"metadata":{"annotations":` + tt.annotations + `},"spec":{"containers":[{"name":"web","image":"` + tt.image + `"}]}}`}.review())
			if tt.want == "" {
				wantPatch(t, got)
				return
			}
			wantPatch(t, got, operation{"replace", "/spec/containers/0/image", tt.want}, noted(`{"web":"`+tt.image+`"}`))
		})
	}
}

// The image is in this registry: a secret for another one says nothing about it.
func TestShortNamesAreLookedUpForPodsWithPullSecrets(t *testing.T) {
	got := answer(t, streams(), request{namespace: "demo", pod: `{"metadata":{"annotations":{}},"spec":{"imagePullSecrets":[{"name":"hub"}],"containers":[{"name":"web","image":"centos:7"}]}}`}.review())
	wantPatch(t, got, operation{"replace", "/spec/containers/0/image", "registry.example/demo/centos@" + centos.String()}, noted(`{"web":"centos:7"}`))
}

// What the database does not tell in time is left to what the name means elsewhere.
func TestALookupThatTakesTooLongHoldsUpNoPod(t *testing.T) {
	c := config()
	asked := 0
	c.Local = func(ctx context.Context, _ metadata.LocalImage) (digest.Digest, bool) {
		asked++
		<-ctx.Done()
		return "", false
	}
	got := answer(t, c, request{namespace: "demo", pod: `{"metadata":{"annotations":{}},"spec":{"containers":[{"name":"web","image":"nginx"},{"name":"side","image":"busybox"}]}}`}.review())
	wantPatch(t, got, replaced("/spec/containers/0/image", "library/nginx:latest"), replaced("/spec/containers/1/image", "library/busybox:latest"), noted(`{"side":"busybox","web":"nginx"}`))
	if asked != 2 {
		t.Errorf("%d names were looked up", asked)
	}
}
