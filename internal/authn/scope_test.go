package authn

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScopesAreReadAsDockerWritesThem(t *testing.T) {
	repository := func(name string, actions ...string) Access {
		return Access{Type: TypeRepository, Name: name, Actions: actions}
	}
	tests := []struct {
		name   string
		scopes []string
		want   []Access
	}{
		{"none", nil, nil},
		{"an empty one", []string{""}, nil},
		{"a pull", []string{"repository:demo/app:pull"}, []Access{repository("demo/app", "pull")}},
		{"a push", []string{"repository:demo/app:pull,push"}, []Access{repository("demo/app", "pull", "push")}},
		{"the catalog", []string{"registry:catalog:*"}, []Access{{Type: "registry", Name: "catalog", Actions: []string{"*"}}}},
		{"several parted by spaces", []string{"repository:a/b:pull  repository:c/d:push"}, []Access{repository("a/b", "pull"), repository("c/d", "push")}},
		{"several parameters", []string{"repository:a/b:pull", "repository:c/d:push"}, []Access{repository("a/b", "pull"), repository("c/d", "push")}},
		{"one resource twice becomes one", []string{"repository:a/b:pull", "repository:a/b:push,pull"}, []Access{repository("a/b", "pull", "push")}},
		{"one action twice counts once", []string{"repository:a/b:pull,pull"}, []Access{repository("a/b", "pull")}},
		{"a resource class is dropped", []string{"repository(plugin):a/b:pull"}, []Access{repository("a/b", "pull")}},
		{"a name of one segment is a name", []string{"repository:nginx:pull"}, []Access{repository("nginx", "pull")}},
		{"an unknown action is left out", []string{"repository:a/b:pull,fly"}, []Access{repository("a/b", "pull")}},
		{"nothing but unknown actions is left out", []string{"repository:a/b:fly", "repository:a/b:"}, nil},
		{"an unknown type is left out", []string{"artifact:a/b:pull", "*:*:*"}, nil},
		{"another registry resource is left out", []string{"registry:users:*"}, nil},
		{"a name that is not valid is left out", []string{"repository:A/b:pull", "repository:host:5000/b:pull", "repository::pull", "repository:*:pull"}, nil},
		{"half a scope is left out", []string{"repository", "repository:a/b", ":", "::"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseScopes(tt.scopes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("access (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTooManyScopesAreRefused(t *testing.T) {
	if _, err := ParseScopes([]string{strings.Repeat("repository:a/b:pull ", maxScopes)}); err != nil {
		t.Errorf("%d scopes: %v", maxScopes, err)
	}
	for name, scopes := range map[string][]string{
		"in one parameter": {strings.Repeat("x ", maxScopes+1)},
		"in many":          strings.Split(strings.Repeat("x,", maxScopes)+"x", ","),
	} {
		if _, err := ParseScopes(scopes); err == nil || !strings.Contains(err.Error(), "64") {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

func TestATokenCoversWhatItWasAskedFor(t *testing.T) {
	access, err := ParseScopes([]string{"repository:demo/app:pull repository:demo/all:* registry:catalog:*"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name                           string
		resourceType, resource, action string
		want                           bool
	}{
		{"the action asked for", "repository", "demo/app", "pull", true},
		{"another action", "repository", "demo/app", "push", false},
		{"another repository", "repository", "demo/other", "pull", false},
		{"a repository below", "repository", "demo/app/x", "pull", false},
		{"another type", "registry", "demo/app", "pull", false},
		{"any action of a star", "repository", "demo/all", "delete", true},
		{"the catalog", "registry", "catalog", "*", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Covers(access, tt.resourceType, tt.resource, tt.action); got != tt.want {
				t.Errorf("Covers = %v", got)
			}
		})
	}
}

func FuzzScopesSurviveARoundTrip(f *testing.F) {
	for _, s := range []string{"repository:demo/app:pull,push", "registry:catalog:*", "repository(plugin):a/b:pull  a:b:c", "::::", "repository:a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		access, err := ParseScopes([]string{s})
		if err != nil {
			return
		}
		if len(access) > maxScopes {
			t.Fatalf("%d entries", len(access))
		}
		var written []string
		for _, a := range access {
			if a.Type == ActionAll || a.Name == ActionAll {
				t.Fatalf("a stranger asked for everything: %v", a)
			}
			written = append(written, a.String())
		}
		again, err := ParseScopes(written)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(access, again); diff != "" {
			t.Errorf("read again (-first +second):\n%s", diff)
		}
	})
}
