package authz_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

func TestWhyIsAnsweredWithTheBindingAndItsRole(t *testing.T) {
	w := newWorld(t)
	w.give("demo", authz.RoleRegistryViewer, authz.User("bob"), authz.Group("devs"))
	w.role("demo", "centos", rule("update", "imagestreams/layers", "centos"))
	w.give("demo", "centos", authz.User("bob"))
	reasons := func(bindings []*authz.Binding) []string {
		var all []string
		for _, b := range bindings {
			all = append(all, b.Reason())
		}
		return all
	}
	pull := w.Explain(t.Context(), person("bob", "devs"), authz.Pull, repository("demo/app"))
	if diff := cmp.Diff([]string{"role binding registry-viewer of project demo gives role registry-viewer to user bob, group devs"}, reasons(pull.By)); !pull.Allowed || diff != "" {
		t.Errorf("allowed %v (-want +got):\n%s", pull.Allowed, diff)
	}
	push := w.Explain(t.Context(), person("bob"), authz.Push, repository("demo/app"))
	if push.Allowed || push.Suggested != authz.RoleImagePusher || len(push.By) > 0 || len(push.Others) != 3 {
		t.Errorf("a push is explained by %+v", push)
	}
	robots := w.Explain(t.Context(), robot("demo", "ci"), authz.Pull, repository("demo/app"))
	if diff := cmp.Diff([]string{"built-in role binding system:image-pullers of project demo gives role system:image-puller to group system:serviceaccounts:demo"}, reasons(robots.By)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	capped := w.Explain(t.Context(), readOnly(admin()), authz.Push, repository("demo/app"))
	if capped.Allowed || !capped.Capped || len(capped.By) == 0 {
		t.Errorf("a token that may only read is explained by %+v", capped)
	}
}

func TestARefusalNamesTheLeastRoleThatWouldDo(t *testing.T) {
	for action, want := range map[authz.Action]string{
		authz.Pull:              "larder policy add-role-to-user system:image-puller bob -n demo",
		authz.Push:              "larder policy add-role-to-user system:image-pusher bob -n demo",
		authz.CreateRepository:  "larder policy add-role-to-user system:image-builder bob -n demo",
		authz.List:              "larder policy add-role-to-user registry-viewer bob -n demo",
		authz.Delete:            "larder policy add-role-to-user registry-editor bob -n demo",
		authz.CreateRoleBinding: "larder policy add-role-to-user registry-admin bob -n demo",
		authz.ListEvents:        "larder policy add-role-to-user view bob -n demo",
		authz.UpdateProject:     "larder policy add-role-to-user admin bob -n demo",
		authz.RequestProject:    "larder adm policy add-cluster-role-to-user self-provisioner bob",
		authz.Prune:             "larder adm policy add-cluster-role-to-user cluster-admin bob",
		"dance tables":          "larder adm policy add-cluster-role-to-user cluster-admin bob",
	} {
		if got := new(authz.Authorizer).GrantCommand("bob", action, project("demo")); got != want {
			t.Errorf("%s: %s", action, got)
		}
	}
	if got := new(authz.Authorizer).GrantCommand("bob", authz.Prune, authz.Target{}); got != "larder adm policy add-cluster-role-to-user system:image-pruner bob" {
		t.Errorf("pruning: %s", got)
	}
}

func TestWhoCanTellsAllWhoseBindingsGiveIt(t *testing.T) {
	w := newWorld(t)
	w.give("demo", authz.RoleImagePuller, authz.User("bob"), authz.Group("system:unauthenticated"))
	w.give("demo", authz.RoleRegistryViewer, authz.User("bob"), authz.ServiceAccount("other", "ci"))
	w.role("demo", "centos", rule("get", "imagestreams/layers", "centos"))
	w.role("demo", "some", rule("get", "imagestreams/layers", "debian", "alpine"), rule("update", "imagestreams/layers", "alpine"))
	w.give("demo", "centos", authz.User("carl"), authz.User("bob"))
	w.give("demo", "some", authz.User("carl"), authz.Group("devs"))
	cache := authz.Target{Project: "docker-hub", Kind: metadata.Cache}
	tests := map[string]struct {
		action authz.Action
		target authz.Target
		want   []string
	}{
		"pull from a project": {authz.Pull, project("demo"), []string{
			"user bob", "user carl of centos", "user carl of alpine debian", "user system:serviceaccount:other:ci",
			"group devs of alpine debian", "group system:masters", "group system:serviceaccounts:demo", "group system:unauthenticated",
		}},
		"pull one image": {authz.Pull, repository("demo/centos"), []string{
			"user bob", "user carl", "user system:serviceaccount:other:ci",
			"group system:masters", "group system:serviceaccounts:demo", "group system:unauthenticated",
		}},
		"pull from a cache": {authz.Pull, cache, []string{
			"group system:authenticated", "group system:masters", "group system:serviceaccounts:docker-hub", "group system:unauthenticated",
		}},
		"push to a project": {authz.Push, project("demo"), []string{"user carl of alpine", "group devs of alpine", "group system:masters"}},
		"push one image":    {authz.Push, repository("demo/centos"), []string{"group system:masters"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var all []string
			for _, h := range w.WhoCan(t.Context(), test.action, test.target) {
				who := h.Subject.String()
				if len(h.Names) > 0 {
					who += " of " + strings.Join(h.Names, " ")
				}
				all = append(all, who)
			}
			if diff := cmp.Diff(test.want, all); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestExposureTellsWhatIsOpenAndByWhat(t *testing.T) {
	w := newWorld(t)
	w.role("demo", "centos", rule("get", "imagestreams/layers", "centos", "debian"))
	w.give("demo", "centos", authz.User("system:anonymous"))
	w.give("demo", authz.RoleRegistryViewer, authz.Group(authn.GroupAuthenticated))
	w.give("demo", authz.RoleImagePusher, authz.User("bob"), authz.Group("devs"))
	type open struct {
		Repositories []string
		Anonymous    bool
		Actions      []authz.Action
		By           string
	}
	exposed := func(name string, kind metadata.Kind) []open {
		var all []open
		for _, e := range w.Exposure(t.Context(), name, kind) {
			if e.Project != name {
				t.Errorf("project %s is told of as %s", name, e.Project)
			}
			all = append(all, open{e.Repositories, e.Anonymous, e.Actions, e.By.Name})
		}
		return all
	}
	viewing := []authz.Action{authz.Pull, authz.List, authz.Describe, authz.GetProject}
	if diff := cmp.Diff([]open{
		{[]string{"centos", "debian"}, true, []authz.Action{authz.Pull}, "centos"},
		{nil, false, viewing, "registry-viewer"},
	}, exposed("demo", metadata.Hosted)); diff != "" {
		t.Errorf("demo (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]open(nil), exposed("other", metadata.Hosted)); diff != "" {
		t.Errorf("other (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]open{
		{nil, true, []authz.Action{authz.Pull}, "cache-pullers"}, {nil, false, viewing, "cache-viewers"},
	}, exposed("docker-hub", metadata.Cache)); diff != "" {
		t.Errorf("docker-hub (-want +got):\n%s", diff)
	}
	w.give("", authz.RoleImagePuller, authz.Group("system:unauthenticated"))
	if diff := cmp.Diff([]open{{nil, true, []authz.Action{authz.Pull}, authz.RoleImagePuller}}, exposed("other", metadata.Hosted)); diff != "" {
		t.Errorf("everything open (-want +got):\n%s", diff)
	}
}
