package authz

import (
	"testing"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

func TestWhoMayDoWhat(t *testing.T) {
	admin := authn.Identity{User: "admin", Groups: []string{authn.GroupAuthenticated, authn.GroupMasters}}
	alice := authn.Identity{User: "alice", Groups: []string{authn.GroupAuthenticated}}
	stranger := authn.Anonymous()

	cache := Target{Project: "docker-hub", Repository: "docker-hub/library/nginx", Kind: metadata.Cache}
	hosted := Target{Project: "demo", Repository: "demo/app", Kind: metadata.Hosted}
	missing := Target{Project: "new", Repository: "new/app"}
	registry := Target{}

	tests := []struct {
		name   string
		who    authn.Identity
		action Action
		target Target
		want   bool
	}{
		{"admin may pull from a hosted project", admin, Pull, hosted, true},
		{"admin may push to a hosted project", admin, Push, hosted, true},
		{"admin may delete in a hosted project", admin, Delete, hosted, true},
		{"admin may list a hosted project", admin, List, hosted, true},
		{"admin may push to a project that is yet to be made", admin, Push, missing, true},
		{"admin may make projects", admin, CreateProject, missing, true},
		{"admin may administer the registry", admin, Backup, registry, true},
		{"admin may evict from a cache project", admin, Delete, cache, true},

		{"a user may pull from a cache project", alice, Pull, cache, true},
		{"a user may not pull from a hosted project", alice, Pull, hosted, false},
		{"a user may not push to a hosted project", alice, Push, hosted, false},
		{"a user may not push to a cache project", alice, Push, cache, false},
		{"a user may not evict from a cache project", alice, Delete, cache, false},
		{"a user may not list a project", alice, List, hosted, false},
		{"a user may not make projects", alice, CreateProject, missing, false},

		{"a stranger may pull from a cache project", stranger, Pull, cache, true},
		{"a stranger may not list a cache project", stranger, List, cache, false},
		{"a stranger may not pull from a hosted project", stranger, Pull, hosted, false},
		{"a stranger may not pull from a project that does not exist", stranger, Pull, missing, false},
		{"a stranger may not push", stranger, Push, hosted, false},
		{"a stranger may not administer", stranger, Backup, registry, false},

		{"a user called admin has no power by the name alone", authn.Identity{User: "admin"}, Push, hosted, false},
		{"nobody at all may pull from a cache project", authn.Identity{}, Pull, cache, true},
		{"nobody at all may not do anything else", authn.Identity{}, Push, cache, false},
		{"an action that is none is not granted", alice, "", cache, false},
	}
	a := New()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := a.Allowed(t.Context(), tt.who, tt.action, tt.target)
			if err != nil || got != tt.want {
				t.Errorf("%s on %+v: allowed = %v, %v", tt.action, tt.target, got, err)
			}
		})
	}
}

func TestAnActionIsAVerbAndAResource(t *testing.T) {
	for action, want := range map[Action][2]string{
		Pull: {"get", "imagestreams/layers"}, Push: {"update", "imagestreams/layers"}, Delete: {"delete", "imagestreams"},
		Metrics: {"get", "registry/metrics"}, "get": {"get", ""}, "": {},
	} {
		if got := [2]string{action.Verb(), action.Resource()}; got != want {
			t.Errorf("%q is %q", action, got)
		}
	}
}
