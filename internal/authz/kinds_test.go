package authz_test

import (
	"errors"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// A role of a project may be called like one of all projects. What is bound is the one
// that was named, and never the other.
func TestARoleOfAProjectAndOneOfAllOfTheSameNameAreTwo(t *testing.T) {
	w := newWorld(t)
	w.role("demo", "edit", rule("get", "imagestreams/layers", "centos"))
	bind := func(name, kind, role string) error {
		return w.CreateBinding(t.Context(), admin(), authz.Binding{
			Project: "demo", Name: name, RoleKind: kind, RoleName: role, Subjects: []authz.Subject{authz.User(name)},
		})
	}
	w.must(bind("bob", authz.KindRole, "edit"))
	w.must(bind("carl", authz.KindClusterRole, "edit"))
	if !w.allowed(person("bob"), authz.Pull, repository("demo/centos")) || w.allowed(person("bob"), authz.Push, repository("demo/app")) {
		t.Error("bob has not the project's role")
	}
	if !w.allowed(person("carl"), authz.Push, repository("demo/app")) {
		t.Error("carl has not the role of all projects")
	}
	for kind, role := range map[string]string{authz.KindRole: "admin", authz.KindClusterRole: "own"} {
		w.role("demo", "own"+kind, rule("get", "imagestreams"))
		if err := bind("dora", kind, role); !errors.Is(err, authz.ErrNoRole) {
			t.Errorf("a %s called %s was bound: %v", kind, role, err)
		}
	}
	if err := bind("dora", authz.KindClusterRole, "ownRole"); !errors.Is(err, authz.ErrNoRole) {
		t.Errorf("a role of the project was bound as one of all: %v", err)
	}

	// Without a kind it is that of all projects; the other one's binding stays as it is.
	w.give("demo", "edit", authz.User("eve"))
	if !w.allowed(person("eve"), authz.Push, repository("demo/app")) {
		t.Error("eve has not the role of all projects")
	}
	if b := w.Binding(t.Context(), "demo", "bob"); len(b.Subjects) != 1 {
		t.Errorf("the project's role has %v", b.Subjects)
	}
	_, err := w.Grant(t.Context(), admin(), authz.Grant{Project: "demo", Kind: authz.KindRole, Role: "edit", Subjects: []authz.Subject{authz.User("fred")}})
	w.must(err)
	if w.allowed(person("fred"), authz.Push, repository("demo/app")) || !w.allowed(person("fred"), authz.Pull, repository("demo/centos")) {
		t.Error("fred has not the project's role")
	}

	// What is taken is of the kind that is named.
	_, err = w.Revoke(t.Context(), authz.Grant{Project: "demo", Kind: authz.KindRole, Role: "edit", Subjects: []authz.Subject{authz.User("carl"), authz.User("bob")}})
	w.must(err)
	if w.allowed(person("bob"), authz.Pull, repository("demo/centos")) || !w.allowed(person("carl"), authz.Push, repository("demo/app")) {
		t.Error("the wrong one was taken")
	}
}

// A binding whose role of all projects has gone gives nothing, whatever role a project's
// owner makes of that name.
func TestARoleOfAProjectDoesNotTakeThePlaceOfOneOfAll(t *testing.T) {
	w := newWorld(t)
	w.role("", "guests", rule("get", "imagestreams"))
	w.give("demo", "guests", authz.Group("system:authenticated"))
	w.must(w.DeleteRole(t.Context(), "", "guests"))
	w.role("demo", "guests", rule("delete", "imagestreams"))
	for _, action := range []authz.Action{authz.Describe, authz.Delete} {
		if w.allowed(person("bob"), action, repository("demo/app")) {
			t.Errorf("bob may %s", action)
		}
	}
}

func TestABindingForAllProjectsBindsARoleOfAll(t *testing.T) {
	w := newWorld(t)
	w.role("demo", "own", rule("get", "imagestreams"))
	for _, role := range []string{"own", "view"} {
		err := w.CreateBinding(t.Context(), admin(), authz.Binding{Name: "b", RoleKind: authz.KindRole, RoleName: role, Subjects: []authz.Subject{authz.User("bob")}})
		if _, refused := errors.AsType[*authz.InvalidError](err); !refused {
			t.Errorf("a role of a project called %s was bound in all: %v", role, err)
		}
	}
}

// Groups and users that Kubernetes names are told apart by their names, in a binding of
// one's own as in a grant.
func TestAGroupThatIsGivenAsAUserIsMeantAsAGroupAndTheOtherWayRound(t *testing.T) {
	w := newWorld(t)
	w.must(w.CreateBinding(t.Context(), admin(), authz.Binding{
		Project: "demo", Name: "b", RoleKind: authz.KindClusterRole, RoleName: authz.RoleImagePuller,
		Subjects: []authz.Subject{
			authz.User("system:authenticated"), authz.User("system:serviceaccounts:other"), authz.Group("system:anonymous"),
			authz.Group("system:serviceaccount:other:ci"), authz.User("system:serviceaccounts"), authz.User("system:masters"), authz.Group("devs"), authz.User("devs"),
		},
	}))
	want := []authz.Subject{
		authz.Group("system:authenticated"), authz.Group("system:serviceaccounts:other"), authz.User("system:anonymous"),
		authz.User("system:serviceaccount:other:ci"), authz.Group("system:serviceaccounts"), authz.Group("system:masters"), authz.Group("devs"), authz.User("devs"),
	}
	if got := w.Binding(t.Context(), "demo", "b").Subjects; !slices.Equal(got, want) {
		t.Errorf("subjects = %v", got)
	}
}

// Whoever a name is left out of a role's rules for has nothing: an empty name is no name.
func TestAnEmptyResourceNameIsNoRepository(t *testing.T) {
	w := newWorld(t)
	a := w.inMemory(
		[]metadata.Role{{Project: "demo", Name: "empty", Rules: `[{"verbs":["get","list"],"apiGroups":["image.openshift.io"],"resources":["*"],"resourceNames":[""]}]`}},
		[]metadata.RoleBinding{{Project: "demo", Name: "b", RoleKind: authz.KindRole, RoleName: "empty", Subjects: `[{"kind":"User","name":"bob"}]`}},
	)
	for _, target := range []authz.Target{repository("demo/app"), project("demo")} {
		for _, action := range []authz.Action{authz.Pull, authz.List, authz.Describe, "get imagestreams/status"} {
			if may, err := a.Allowed(t.Context(), person("bob"), action, target); may || err != nil {
				t.Errorf("bob may %s of %s: %v, %v", action, target, may, err)
			}
		}
	}
	err := w.CreateRole(t.Context(), admin(), authz.Role{Project: "demo", Name: "r", Rules: []rbacv1.PolicyRule{rule("get", "imagestreams", "")}})
	if _, refused := errors.AsType[*authz.InvalidError](err); !refused {
		t.Errorf("a role for a repository without a name was made: %v", err)
	}
}
