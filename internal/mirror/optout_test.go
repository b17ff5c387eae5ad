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

func TestWhatCannotOptOutIsNamed(t *testing.T) {
	if err := optOut().Check(); err != nil {
		t.Error(err)
	}
	tests := []struct {
		optOut mirror.OptOut
		want   string
	}{
		{mirror.OptOut{Annotations: []string{"a b"}}, `"a b" is not the key of an annotation`},
		{mirror.OptOut{Annotations: []string{`x/y"`}}, `is not the key of an annotation`},
		{mirror.OptOut{Namespaces: []string{"Kube"}}, `"Kube" is not the name of a namespace`},
		{mirror.OptOut{Namespaces: []string{"a[b"}}, `"a[b" is not the name of a namespace`},
		{mirror.OptOut{Namespaces: []string{""}}, `"" is not the name of a namespace`},
		{mirror.OptOut{Owners: []string{"postgresql.cnpg.io/Cluster"}}, `"postgresql.cnpg.io/Cluster" is not a kind of object`},
	}
	for _, tt := range tests {
		if err := tt.optOut.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.optOut, err, tt.want)
		}
	}
}
