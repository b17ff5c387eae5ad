package mirror_test

import (
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/mirror"
)

func optOut() mirror.OptOut {
	return mirror.OptOut{
		Annotations: []string{"idp.jppol.dk/ecr-pull-through-cache"},
		Namespaces:  []string{"kube-system", "larder", "ci-*"},
		Owners:      mirror.DefaultOwners(),
	}
}

func TestAnAnnotationOptsOut(t *testing.T) {
	tests := []struct {
		key, value string
		want       bool
	}{
		{"larder.dev/pull-through-cache", "disabled", true},
		{"idp.jppol.dk/ecr-pull-through-cache", "disabled", true},
		{"larder.dev/pull-through-cache", "enabled", false},
		{"larder.dev/pull-through-cache", "", false},
		{"example.com/pull-through-cache", "disabled", false},
	}
	for _, tt := range tests {
		if got := optOut().Annotated(map[string]string{"app": "web", tt.key: tt.value}); got != tt.want {
			t.Errorf("%s: %s opts out: %v, want %v", tt.key, tt.value, got, tt.want)
		}
	}
	if optOut().Annotated(nil) {
		t.Error("no annotation opts out")
	}
}

func TestANamespaceIsLeftAloneByItsNameOrAPattern(t *testing.T) {
	for name, want := range map[string]bool{
		"kube-system": true, "larder": true, "ci-": true, "ci-web": true,
		"kube-systems": false, "my-larder": false, "ci": false, "web-ci-1": false, "default": false, "": false,
	} {
		if got := optOut().Namespace(name); got != want {
			t.Errorf("namespace %q is left alone: %v, want %v", name, got, want)
		}
	}
}

func TestPodsOfControllersThatCompareImagesAreLeftAlone(t *testing.T) {
	tests := []struct {
		version, kind string
		want          bool
	}{
		{"postgresql.cnpg.io/v1", "Cluster", true},
		{"postgresql.cnpg.io/v2", "Cluster", true},
		{"core.strimzi.io/v1beta2", "StrimziPodSet", true},
		{"cluster.x-k8s.io/v1", "Cluster", false},
		{"v1", "Cluster", false},
		{"apps/v1", "ReplicaSet", false},
	}
	for _, tt := range tests {
		if got := optOut().Owner(tt.version, tt.kind); got != tt.want {
			t.Errorf("pods of a %s of %s are left alone: %v, want %v", tt.kind, tt.version, got, tt.want)
		}
	}
}

func TestWhatCannotOptOutIsFound(t *testing.T) {
	forms := map[string]struct {
		is        func(string) bool
		good, bad []string
	}{
		"annotations": {
			mirror.IsAnnotation,
			[]string{"larder.dev/pull-through-cache", "idp.jppol.dk/ecr-pull-through-cache", "plain", "a.b/c_d.e"},
			[]string{"", "a b", `x/y"`, "/x", "x/", "A.b/c", "a/b/c", strings.Repeat("x", 64)},
		},
		"namespaces": {mirror.IsNamespace, []string{"default", "kube-*", "*"}, []string{"", "Kube", "a[b", "a.b", strings.Repeat("x", 64)}},
		"owners": {
			mirror.IsOwner,
			append(mirror.DefaultOwners(), "ReplicationController"),
			[]string{"", "postgresql.cnpg.io/Cluster", "cluster.postgresql.cnpg.io", "Cluster.", `A."`},
		},
	}
	for what, form := range forms {
		for _, text := range form.good {
			if !form.is(text) {
				t.Errorf("%s: %q is refused", what, text)
			}
		}
		for _, text := range form.bad {
			if form.is(text) {
				t.Errorf("%s: %q is accepted", what, text)
			}
		}
	}
}
