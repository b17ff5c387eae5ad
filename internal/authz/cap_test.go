package authz_test

import (
	"testing"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
)

func TestAnAccessTokenDoesNoMoreThanItsScopesAndTargets(t *testing.T) {
	w := newWorld(t)
	w.give("demo", authz.RoleAdmin, authz.User("alice"))
	w.give("other", authz.RoleAdmin, authz.User("alice"))
	limited := func(scopes, targets []string) authn.Identity {
		id := person("alice")
		var err error
		id.Cap, err = authn.NewCap(scopes, targets)
		w.must(err)
		return id
	}
	reads := limited([]string{"read"}, nil)
	writes := limited([]string{"write"}, nil)
	deletes := limited([]string{"delete"}, nil)
	app := limited([]string{"write", "delete"}, []string{"demo/app"})
	all := limited([]string{"admin"}, []string{"demo"})
	for _, test := range []struct {
		what   string
		id     authn.Identity
		action authz.Action
		target authz.Target
		want   bool
	}{
		{"reading pulls", reads, authz.Pull, repository("demo/app"), true},
		{"reading lists", reads, authz.List, project("demo"), true},
		{"reading does not push", reads, authz.Push, repository("demo/app"), false},
		{"reading reads no bindings", reads, authz.ListRoleBindings, project("demo"), false},
		{"reading makes no projects", reads, authz.RequestProject, authz.Target{}, false},
		{"reading imports nothing", reads, authz.Import, repository("demo/app"), false},
		{"reading makes no repositories", reads, authz.CreateRepository, repository("demo/new"), false},
		{"writing pulls", writes, authz.Pull, repository("demo/app"), true},
		{"writing pushes", writes, authz.Push, repository("demo/app"), true},
		{"writing makes repositories", writes, authz.CreateRepository, repository("demo/new"), true},
		{"writing tags", writes, authz.Tag, repository("demo/app"), true},
		{"writing imports", writes, authz.Import, repository("demo/app"), true},
		{"writing does not delete", writes, authz.Delete, repository("demo/app"), false},
		{"writing changes no project", writes, authz.UpdateProject, project("demo"), false},
		{"writing gives no roles", writes, authz.CreateRoleBinding, project("demo"), false},
		{"deleting deletes", deletes, authz.Delete, repository("demo/app"), true},
		{"deleting deletes tags", deletes, authz.DeleteTag, repository("demo/app"), true},
		{"deleting does not pull", deletes, authz.Pull, repository("demo/app"), false},
		{"deleting deletes no project", deletes, authz.DeleteProject, project("demo"), false},
		{"one repository is pushed to", app, authz.Push, repository("demo/app"), true},
		{"another is not", app, authz.Push, repository("demo/application"), false},
		{"nor is one below it", app, authz.Push, repository("demo/app/x"), false},
		{"nor is the list of all read", app, authz.List, project("demo"), false},
		{"one project is administered", all, authz.CreateRoleBinding, project("demo"), true},
		{"another is not", all, authz.CreateRoleBinding, project("other"), false},
		{"nor is what belongs to none", all, authz.RequestProject, authz.Target{}, false},
	} {
		if got := w.allowed(test.id, test.action, test.target); got != test.want {
			t.Errorf("%s: allowed is %v", test.what, got)
		}
	}
	// What an administrator may, their tokens may with the scope that it takes.
	for _, test := range []struct {
		scope  string
		action authz.Action
		want   bool
	}{
		{"read", authz.Prune, false}, {"write", authz.Prune, false}, {"delete", authz.Prune, true}, {"delete", "get images", false}, {"delete", "delete imagestreams/layers", false},
		{"read", authz.Backup, false}, {"write", authz.Verify, false}, {"delete", authz.DeleteUser, false}, {"read", authz.Metrics, false},
		{"admin", authz.Backup, true},
	} {
		id := admin()
		id.Cap = &authn.Cap{Scopes: []authn.Scope{authn.Scope(test.scope)}}
		if got := w.allowed(id, test.action, authz.Target{}); got != test.want {
			t.Errorf("an administrator's token with the scope %s: %s is allowed: %v", test.scope, test.action, got)
		}
	}
}
