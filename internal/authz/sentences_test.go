package authz_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// says reads a sentence such as `bob may not update imagestreams/layers of demo/app`. The
// place is a repository, a project, or nothing for the whole registry.
func says(t *testing.T, sentence string) (id authn.Identity, action authz.Action, target authz.Target, want bool) {
	t.Helper()
	who, rest, found := strings.Cut(sentence, " may ")
	if !found {
		t.Fatalf("%q says nothing of what somebody may", sentence)
	}
	rest, not := strings.CutPrefix(rest, "not ")
	words := strings.Fields(rest)
	if len(words) != 2 && len(words) != 4 {
		t.Fatalf("%q is no sentence", sentence)
	}
	if len(words) == 4 {
		target.Project, _, _ = strings.Cut(words[3], "/")
		if strings.Contains(words[3], "/") {
			target.Repository = words[3]
		}
		target.Kind = metadata.Hosted
		if target.Project == "docker-hub" {
			target.Kind = metadata.Cache
		}
	}
	return identity(who), authz.Action(words[0] + " " + words[1]), target, !not
}

func identity(who string) authn.Identity {
	switch who {
	case "a stranger":
		return authn.Anonymous()
	case "admin":
		return admin()
	case "dora, one of the devs,":
		return person("dora", "devs")
	case "robot ci of demo":
		return robot("demo", "ci")
	case "robot ci of demo-2":
		return robot("demo-2", "ci")
	case "robot ci of other":
		return robot("other", "ci")
	case "robot deploy of other":
		return robot("other", "deploy")
	}
	return person(who)
}

func TestWhoMayDoWhatWhere(t *testing.T) {
	for _, test := range []struct {
		name      string
		given     func(w *world)
		sentences []string
	}{
		{"as it is at first", func(*world) {}, []string{
			"admin may get imagestreams/layers of demo/app", "admin may update imagestreams/layers of demo/app",
			"admin may delete imagestreams of demo/app", "admin may delete images", "admin may get backups",
			"admin may create projects", "admin may dance tables", "admin may escalate clusterroles",
			"bob may not get imagestreams/layers of demo/app", "bob may not list imagestreams of demo", "bob may not get projects of demo",
			"bob may create projectrequests", "bob may not create projects", "bob may not delete images", "bob may not dance tables",
			"a stranger may not get imagestreams/layers of demo/app", "a stranger may not create projectrequests",
			"a stranger may not list imagestreams of demo",
		}},
		{"cache projects", func(*world) {}, []string{
			"a stranger may get imagestreams/layers of docker-hub/library/nginx", "a stranger may not list imagestreams of docker-hub",
			"a stranger may not get projects of docker-hub", "a stranger may not update imagestreams/layers of docker-hub/library/nginx",
			"bob may get imagestreams/layers of docker-hub/library/nginx", "bob may list imagestreams of docker-hub",
			"bob may get projects of docker-hub", "bob may not update imagestreams/layers of docker-hub/library/nginx",
			"bob may not delete imagestreams of docker-hub/library/nginx", "admin may delete imagestreams of docker-hub/library/nginx",
		}},
		{"the service accounts of a project", func(*world) {}, []string{
			"robot ci of demo may get imagestreams/layers of demo/app", "robot ci of demo may not list imagestreams of demo",
			"robot ci of demo may not update imagestreams/layers of demo/app", "robot ci of other may not get imagestreams/layers of demo/app",
			"robot ci of demo may not get imagestreams/layers of other/app", "robot ci of demo may not get imagestreams/layers of demo-2/app",
			"robot ci of demo-2 may get imagestreams/layers of demo-2/app", "robot ci of demo-2 may not get imagestreams/layers of demo/app",
		}},
		{"system:image-puller", func(w *world) { w.give("demo", authz.RoleImagePuller, authz.User("bob")) }, []string{
			"bob may get imagestreams/layers of demo/app", "bob may get imagestreams/layers of demo/team/app",
			"bob may not list imagestreams of demo", "bob may not get imagestreams of demo/app", "bob may not update imagestreams/layers of demo/app",
			"bob may not get imagestreams/layers of other/app", "eve may not get imagestreams/layers of demo/app",
		}},
		{"system:image-pusher", func(w *world) { w.give("demo", authz.RoleImagePusher, authz.User("bob")) }, []string{
			"bob may get imagestreams/layers of demo/app", "bob may update imagestreams/layers of demo/app",
			"bob may not create imagestreams of demo/new", "bob may not delete imagestreams of demo/app", "bob may not update imagestreamtags of demo/app",
		}},
		{"system:image-builder", func(w *world) { w.give("demo", authz.RoleImageBuilder, authz.User("bob")) }, []string{
			"bob may update imagestreams/layers of demo/app", "bob may create imagestreams of demo/new", "bob may not delete imagestreams of demo/app",
		}},
		{"registry-viewer", func(w *world) { w.give("demo", authz.RoleRegistryViewer, authz.User("bob")) }, []string{
			"bob may get imagestreams/layers of demo/app", "bob may list imagestreams of demo", "bob may get imagestreams of demo/app",
			"bob may get projects of demo", "bob may not update imagestreams of demo/app", "bob may not list events of demo",
		}},
		{"registry-editor", func(w *world) { w.give("demo", authz.RoleRegistryEditor, authz.User("bob")) }, []string{
			"bob may update imagestreams/layers of demo/app", "bob may delete imagestreams of demo/app", "bob may delete imagestreamtags of demo/app",
			"bob may create imagestreamimports of demo/app", "bob may create serviceaccounts of demo", "bob may not create rolebindings of demo",
			"bob may not delete projects of demo",
		}},
		{"registry-admin", func(w *world) { w.give("demo", authz.RoleRegistryAdmin, authz.User("bob")) }, []string{
			"bob may create rolebindings of demo", "bob may delete roles of demo", "bob may delete projects of demo", "bob may not update projects of demo",
			"bob may create localsubjectaccessreviews of demo", "bob may not create clusterrolebindings", "bob may not create rolebindings of other",
		}},
		{"view", func(w *world) { w.give("demo", authz.RoleView, authz.User("bob")) }, []string{
			"bob may get imagestreams/layers of demo/app", "bob may list events of demo", "bob may not update imagestreams/layers of demo/app",
		}},
		{"edit", func(w *world) { w.give("demo", authz.RoleEdit, authz.User("bob")) }, []string{
			"bob may update imagestreams/layers of demo/app", "bob may create serviceaccounts/token of demo", "bob may not create rolebindings of demo",
		}},
		{"admin of a project", func(w *world) { w.give("demo", authz.RoleAdmin, authz.User("bob")) }, []string{
			"bob may update projects of demo", "bob may create rolebindings of demo", "bob may not update projects of other", "bob may not delete images of demo",
		}},
		{"cluster-admin in one project", func(w *world) { w.give("demo", authz.RoleClusterAdmin, authz.User("bob")) }, []string{
			"bob may delete projects of demo", "bob may not delete projects of other", "bob may not get backups",
		}},
		{"cluster-admin in all", func(w *world) { w.give("", authz.RoleClusterAdmin, authz.User("bob")) }, []string{
			"bob may delete projects of other", "bob may get backups", "bob may create projects",
		}},
		{"a role in all projects", func(w *world) { w.give("", authz.RoleRegistryViewer, authz.Group("devs")) }, []string{
			"dora, one of the devs, may get imagestreams/layers of demo/app", "dora, one of the devs, may list imagestreams of other",
			"dora, one of the devs, may list imagestreams", "bob may not list imagestreams of other",
		}},
		{"a group", func(w *world) { w.give("demo", authz.RoleImagePuller, authz.Group("devs")) }, []string{
			"dora, one of the devs, may get imagestreams/layers of demo/app", "dora may not get imagestreams/layers of demo/app",
			"devs may not get imagestreams/layers of demo/app",
		}},
		{"one service account", func(w *world) { w.give("demo", authz.RoleImagePusher, authz.ServiceAccount("other", "ci")) }, []string{
			"robot ci of other may update imagestreams/layers of demo/app", "robot deploy of other may not update imagestreams/layers of demo/app",
			"robot ci of demo may not update imagestreams/layers of demo/app",
		}},
		{"open to strangers by the user system:anonymous", func(w *world) { w.give("demo", authz.RoleImagePuller, authz.User("system:anonymous")) }, []string{
			"a stranger may get imagestreams/layers of demo/app", "a stranger may not list imagestreams of demo",
			"bob may get imagestreams/layers of demo/app", "a stranger may not get imagestreams/layers of other/app",
		}},
		{"open to strangers by the group system:unauthenticated", func(w *world) { w.give("demo", authz.RoleImagePuller, authz.Group("system:unauthenticated")) }, []string{
			"a stranger may get imagestreams/layers of demo/app", "bob may get imagestreams/layers of demo/app", "a stranger may not update imagestreams/layers of demo/app",
		}},
		{"open to strangers by a group that was given as a user", func(w *world) { w.give("demo", authz.RoleRegistryViewer, authz.User("system:unauthenticated")) }, []string{
			"a stranger may get imagestreams/layers of demo/app", "a stranger may list imagestreams of demo",
		}},
		{"open to all who are logged in", func(w *world) { w.give("demo", authz.RoleRegistryViewer, authz.User("system:authenticated")) }, []string{
			"bob may get imagestreams/layers of demo/app", "robot ci of other may get imagestreams/layers of demo/app",
			"a stranger may not get imagestreams/layers of demo/app",
		}},
		{"open to another project", func(w *world) { w.give("demo", authz.RoleImagePuller, authz.Group("system:serviceaccounts:other")) }, []string{
			"robot ci of other may get imagestreams/layers of demo/app", "robot deploy of other may get imagestreams/layers of demo/app",
			"bob may not get imagestreams/layers of demo/app", "robot ci of other may not update imagestreams/layers of demo/app",
		}},
		{"one repository", func(w *world) {
			w.role("demo", "my-image-puller", rule("get", "imagestreams/layers", "centos", "team/app"))
			w.give("demo", "my-image-puller", authz.User("system:anonymous"))
		}, []string{
			"a stranger may get imagestreams/layers of demo/centos", "a stranger may get imagestreams/layers of demo/team/app",
			"a stranger may not get imagestreams/layers of demo/debian", "a stranger may not get imagestreams/layers of demo/team",
			"a stranger may not get imagestreams/layers of demo/centos/7", "a stranger may not get imagestreams/layers of demo",
			"a stranger may not get imagestreams/layers of other/centos", "a stranger may not get imagestreams/layers",
		}},
		{"all subresources", func(w *world) {
			w.role("demo", "odd", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"*"}, Resources: []string{"*/layers"}})
			w.give("demo", "odd", authz.User("bob"))
		}, []string{
			"bob may get imagestreams/layers of demo/app", "bob may not get imagestreams of demo/app",
		}},
		{"a role without the group of its resource", func(w *world) {
			w.role("demo", "odd", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"apps"}, Resources: []string{"imagestreams/layers"}})
			w.give("demo", "odd", authz.User("bob"))
		}, []string{"bob may not get imagestreams/layers of demo/app"}},
		{"the legacy group of image streams", func(w *world) {
			w.role("demo", "old", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"imagestreams/layers"}})
			w.give("demo", "old", authz.User("bob"))
		}, []string{"bob may get imagestreams/layers of demo/app"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			test.given(w)
			before := w.asked.Load()
			for _, sentence := range test.sentences {
				id, action, target, want := says(t, sentence)
				if got := w.allowed(id, action, target); got != want {
					t.Errorf("it is not so that %s", sentence)
				}
				if why := w.Explain(t.Context(), id, action, target); why.Allowed != want {
					t.Errorf("the explanation says otherwise than that %s", sentence)
				}
			}
			if n := w.asked.Load() - before; n > 0 {
				t.Errorf("the database was asked %d times to decide", n)
			}
		})
	}
}

// role lets admin make a role of a project.
func (w *world) role(project, name string, rules ...rbacv1.PolicyRule) {
	w.t.Helper()
	w.must(w.CreateRole(w.t.Context(), admin(), authz.Role{Project: project, Name: name, Rules: rules}))
}

func TestWhatWasOpenedIsClosedAgainByTheSameWords(t *testing.T) {
	for _, test := range []struct {
		name string
		who  authz.Subject
		id   authn.Identity
	}{
		{"a stranger", authz.User("system:anonymous"), authn.Anonymous()},
		{"strangers as a group", authz.Group("system:unauthenticated"), authn.Anonymous()},
		{"strangers as a group called a user", authz.User("system:unauthenticated"), authn.Anonymous()},
		{"everyone who is logged in", authz.User("system:authenticated"), person("bob")},
		{"another project", authz.Group("system:serviceaccounts:other"), robot("other", "ci")},
		{"one person", authz.User("bob"), person("bob")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for range 2 {
				if w.allowed(test.id, authz.Pull, repository("demo/app")) {
					t.Fatal("it is open")
				}
				w.give("demo", authz.RoleImagePuller, test.who)
				if !w.allowed(test.id, authz.Pull, repository("demo/app")) {
					t.Fatal("it is not open")
				}
				w.take("demo", authz.RoleImagePuller, test.who)
			}
			if bindings := w.Bindings(t.Context(), "demo"); len(bindings) != 1 || !bindings[0].Builtin {
				t.Errorf("bindings are left: %v", bindings)
			}
		})
	}
}
