package authz_test

import (
	"errors"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

func everything() rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"*"}, Resources: []string{"*"}, APIGroups: []string{"*"}}
}

func TestNobodyGivesWhatTheyDoNotHold(t *testing.T) {
	w := newWorld(t)
	w.give("demo", authz.RoleRegistryAdmin, authz.User("alice"))
	w.give("demo", authz.RoleImagePuller, authz.User("bob"))
	w.role("demo", "binder", rbacv1.PolicyRule{Verbs: []string{"bind"}, Resources: []string{"clusterroles"}, APIGroups: []string{"rbac.authorization.k8s.io"}, ResourceNames: []string{"admin"}})
	w.give("demo", "binder", authz.User("carl"))
	w.role("demo", "escalator", rbacv1.PolicyRule{Verbs: []string{"escalate"}, Resources: []string{"roles"}, APIGroups: []string{"rbac.authorization.k8s.io"}})
	w.give("demo", "escalator", authz.User("dora"))
	w.role("demo", "one", rule("get", "imagestreams/layers", "centos"))
	w.give("demo", "one", authz.User("fred"))
	alice, bob, carl, dora, fred := person("alice"), person("bob"), person("carl"), person("dora"), person("fred")
	eve := authz.User("eve")

	for _, test := range []struct {
		what string
		who  authn.Identity
		do   func(who authn.Identity) error
		may  bool
	}{
		{"a registry-admin gives registry-editor", alice, w.giving("demo", "registry-editor", eve), true},
		{"a registry-admin gives registry-admin", alice, w.giving("demo", "registry-admin", eve), true},
		{"a registry-admin gives admin, which may change the project", alice, w.giving("demo", "admin", eve), false},
		{"a registry-admin gives cluster-admin", alice, w.giving("demo", "cluster-admin", eve), false},
		{"a registry-admin gives itself more", alice, w.giving("demo", "admin", authz.User("alice")), false},
		{"a registry-admin gives in another project", alice, w.giving("other", "system:image-puller", eve), false},
		{"a registry-admin gives in all projects", alice, w.giving("", "system:image-puller", eve), false},
		{"a puller gives pulling", bob, w.giving("demo", "system:image-puller", eve), true},
		{"a puller gives pushing", bob, w.giving("demo", "system:image-pusher", eve), false},
		{"who may bind admin gives it", carl, w.giving("demo", "admin", eve), true},
		{"who may bind admin gives cluster-admin", carl, w.giving("demo", "cluster-admin", eve), false},
		{"who may bind admin gives it elsewhere", carl, w.giving("other", "admin", eve), false},
		{"a registry-admin makes a role for one repository", alice, w.making("demo", rule("get", "imagestreams/layers", "centos")), true},
		{"a registry-admin makes a role that may all", alice, w.making("demo", everything()), false},
		{"a registry-admin makes a role that may bind", alice, w.making("demo", rule("bind", "clusterroles")), false},
		{"a registry-admin makes a role for all projects", alice, w.making("", rule("get", "imagestreams/layers")), false},
		{"a registry-admin makes a role for the resource of another group", alice, w.making("demo", inGroup("apps", rule("get", "imagestreams/layers"))), false},
		{"a registry-admin makes a role for another name of the group", alice, w.making("demo", inGroup("", rule("get", "imagestreams/layers"))), true},
		{"who pulls one repository makes a role for it in another name of the group", fred, w.making("demo", inGroup("", rule("get", "imagestreams/layers", "centos"))), true},
		{"who pulls one repository makes a role for another", fred, w.making("demo", inGroup("", rule("get", "imagestreams/layers", "debian"))), false},
		{"who pulls one repository makes a role for it and another", fred, w.making("demo", rule("get", "imagestreams/layers", "centos", "debian")), false},
		{"who pulls one repository makes a role for all", fred, w.making("demo", rule("get", "imagestreams/layers")), false},
		{"a puller makes a role that pushes one repository", bob, w.making("demo", rule("update", "imagestreams/layers", "centos")), false},
		{"who may escalate makes a role that may all", dora, w.making("demo", everything()), true},
		{"who may escalate gives it", dora, w.giving("demo", "cluster-admin", eve), false},
		{"an administrator gives anything", admin(), w.giving("", "cluster-admin", eve), true},
		{"an administrator with a token that reads gives", readOnly(admin()), w.giving("demo", "admin", eve), true},
	} {
		err := test.do(test.who)
		escalation, refused := errors.AsType[*authz.EscalationError](err)
		if refused == test.may || !refused && err != nil {
			t.Errorf("%s: %v", test.what, err)
		}
		if refused && (len(escalation.Missing) == 0 || !strings.Contains(err.Error(), test.who.User+" does not hold")) {
			t.Errorf("%s: %v", test.what, err)
		}
	}
}

func inGroup(group string, rule rbacv1.PolicyRule) rbacv1.PolicyRule {
	rule.APIGroups = []string{group}
	return rule
}

// readOnly shows an access token that may read alone. It holds all that its user holds;
// whether it may make bindings at all is decided before.
func readOnly(id authn.Identity) authn.Identity {
	id.Cap = &authn.Cap{Scopes: []authn.Scope{authn.ScopeRead}}
	return id
}

func (w *world) giving(project, role string, to authz.Subject) func(authn.Identity) error {
	return func(who authn.Identity) error {
		_, err := w.Grant(w.t.Context(), who, authz.Grant{Project: project, Role: role, Subjects: []authz.Subject{to}})
		if err != nil {
			return err
		}
		w.take(project, role, to)
		return nil
	}
}

func (w *world) making(project string, rules ...rbacv1.PolicyRule) func(authn.Identity) error {
	return func(who authn.Identity) error {
		if err := w.CreateRole(w.t.Context(), who, authz.Role{Project: project, Name: "made", Rules: rules}); err != nil {
			return err
		}
		w.must(w.DeleteRole(w.t.Context(), project, "made"))
		return nil
	}
}

func TestARoleThatOneHasCannotBeEditedIntoMore(t *testing.T) {
	w := newWorld(t)
	w.give("demo", authz.RoleRegistryAdmin, authz.User("alice"))
	alice := person("alice")
	w.must(w.CreateRole(t.Context(), alice, authz.Role{Project: "demo", Name: "mine", Rules: []rbacv1.PolicyRule{rule("get", "imagestreams/layers")}}))
	w.must(w.CreateBinding(t.Context(), alice, authz.Binding{Project: "demo", Name: "mine", RoleKind: authz.KindRole, RoleName: "mine", Subjects: []authz.Subject{authz.User("alice")}}))
	err := w.UpdateRole(t.Context(), alice, authz.Role{Project: "demo", Name: "mine", Rules: []rbacv1.PolicyRule{everything()}})
	if _, refused := errors.AsType[*authz.EscalationError](err); !refused {
		t.Errorf("the role was edited: %v", err)
	}
	if w.allowed(alice, authz.UpdateProject, project("demo")) {
		t.Error("alice has more than before")
	}
	w.must(w.UpdateRole(t.Context(), alice, authz.Role{Project: "demo", Name: "mine", Rules: []rbacv1.PolicyRule{rule("get,update", "imagestreams/layers")}}))
}

func TestABindingToARoleThatIsMadeLaterIsNoWayRound(t *testing.T) {
	w := newWorld(t)
	w.give("demo", authz.RoleRegistryAdmin, authz.User("alice"))
	err := w.CreateBinding(t.Context(), person("alice"), authz.Binding{Project: "demo", Name: "early", RoleKind: authz.KindRole, RoleName: "later", Subjects: []authz.Subject{authz.User("alice")}})
	if !errors.Is(err, authz.ErrNoRole) {
		t.Errorf("the binding was made: %v", err)
	}
	// Of a role that was deleted, a binding is left; the role cannot come back with more.
	w.role("demo", "later", rule("get", "imagestreams"))
	w.give("demo", "later", authz.User("alice"))
	w.must(w.DeleteRole(t.Context(), "demo", "later"))
	err = w.CreateRole(t.Context(), person("alice"), authz.Role{Project: "demo", Name: "later", Rules: []rbacv1.PolicyRule{everything()}})
	if _, refused := errors.AsType[*authz.EscalationError](err); !refused {
		t.Errorf("the role came back: %v", err)
	}
}

func TestWhatEveryRegistryHasStays(t *testing.T) {
	w := newWorld(t)
	for what, err := range map[string]error{
		"a built-in role is made":       w.CreateRole(t.Context(), admin(), authz.Role{Name: "view", Rules: []rbacv1.PolicyRule{everything()}}),
		"a built-in role is changed":    w.UpdateRole(t.Context(), admin(), authz.Role{Name: "view", Rules: []rbacv1.PolicyRule{everything()}}),
		"a built-in role is deleted":    w.DeleteRole(t.Context(), "", "cluster-admin"),
		"a built-in binding is deleted": w.DeleteBinding(t.Context(), "", "self-provisioners"),
		"the pullers are deleted":       w.DeleteBinding(t.Context(), "demo", "system:image-pullers"),
		"a built-in binding is made":    w.CreateBinding(t.Context(), admin(), authz.Binding{Name: "cluster-admins", RoleKind: authz.KindClusterRole, RoleName: "view", Subjects: []authz.Subject{authz.User("x")}}),
		"the service accounts lose their role": func() error {
			_, err := w.Revoke(t.Context(), authz.Grant{Project: "demo", Role: authz.RoleImagePuller, Subjects: []authz.Subject{authz.Group("system:serviceaccounts:demo")}})
			return err
		}(),
	} {
		if !errors.Is(err, authz.ErrBuiltin) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A role of a project may have any name.
	w.role("demo", "view", rule("get", "imagestreams"))
}

func TestWhatIsNoRoleOrNoBindingIsRefused(t *testing.T) {
	w := newWorld(t)
	good, many := rule("get", "imagestreams"), make([]rbacv1.PolicyRule, 101)
	long := strings.Repeat("x", 300)
	role := func(name string, rules ...rbacv1.PolicyRule) error {
		return w.CreateRole(t.Context(), admin(), authz.Role{Project: "demo", Name: name, Rules: rules})
	}
	binding := func(name string, subjects ...authz.Subject) error {
		return w.CreateBinding(t.Context(), admin(), authz.Binding{Project: "demo", Name: name, RoleKind: authz.KindClusterRole, RoleName: "view", Subjects: subjects})
	}
	for what, err := range map[string]error{
		"no name": role("", good), "a slash": role("a/b", good), "dots": role("..", good), "a long name": role(long, good), "a space": role("a b", good),
		"no rules": role("r"), "many rules": role("r", many...), "no verbs": role("r", rbacv1.PolicyRule{Resources: []string{"x"}, APIGroups: []string{""}}),
		"no resources":            role("r", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}}),
		"no groups":               role("r", rbacv1.PolicyRule{Verbs: []string{"get"}, Resources: []string{"x"}}),
		"a URL":                   role("r", rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz"}}),
		"a URL beside a resource": role("r", rbacv1.PolicyRule{Verbs: []string{"get"}, Resources: []string{"x"}, APIGroups: []string{""}, NonResourceURLs: []string{"/healthz"}}),
		"a long word":             role("r", rule("get", long)), "words": role("r", rule("get the", "x")), "a pattern": role("r", rule("get", "imagestreams", "team-*")),
		"nobody": binding("b"), "no user": binding("b", authz.User("")), "a long user": binding("b", authz.User(long)), "a line": binding("b", authz.User("a\nb")),
		"a bad binding name": binding("a/b", authz.User("bob")),
	} {
		if _, refused := errors.AsType[*authz.InvalidError](err); !refused {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := role("r", good); err != nil {
		t.Error(err)
	}
	if err := role("r", good); !errors.Is(err, metadata.ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if err := w.DeleteRole(t.Context(), "demo", "none"); !errors.Is(err, metadata.ErrNotFound) {
		t.Errorf("deleting none: %v", err)
	}
	if _, err := w.Revoke(t.Context(), authz.Grant{Project: "demo", Role: "view", Subjects: []authz.Subject{authz.User("bob")}}); !errors.Is(err, authz.ErrNotBound) {
		t.Errorf("taking what nobody has: %v", err)
	}
}
