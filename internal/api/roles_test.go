package api

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/authz"
)

const pullCentos = `{"name":"puller","rules":[{"verbs":["get"],"resources":["imagestreams.image.openshift.io/layers"],"resourceNames":["centos"]}]}`

// member gives bob a role in a project.
func (f *fixture) member(project, role string) {
	f.t.Helper()
	_, err := f.roles.Grant(f.t.Context(), f.admin(), authz.Grant{Project: project, Role: role, Subjects: []authz.Subject{authz.User("bob")}})
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestARoleIsMadeReadChangedAndRemoved(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	const path = "/api/v1/projects/demo/roles"
	want := Role{
		Project: "demo", Name: "puller", Creator: "admin", CreatedAt: f.now,
		Rules: []Rule{{Verbs: []string{"get"}, APIGroups: []string{"image.openshift.io"}, Resources: []string{"imagestreams/layers"}, ResourceNames: []string{"centos"}}},
	}
	var got Role
	f.want(f.do(admin, "POST", path, pullCentos), 201, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	f.wantProblem(f.do(admin, "POST", path, pullCentos), 409, "role puller was not made: project demo has one of that name")

	got = Role{}
	f.want(f.do(admin, "PUT", path+"/puller", `{"rules":[{"verbs":["get","list"],"resources":["is"]},{"verbs":["get"],"apiGroups":["x"],"resources":["is"]}]}`), 200, &got)
	want.Rules = []Rule{
		{Verbs: []string{"get", "list"}, APIGroups: []string{"image.openshift.io"}, Resources: []string{"imagestreams"}},
		{Verbs: []string{"get"}, APIGroups: []string{"x"}, Resources: []string{"is"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	got = Role{}
	f.want(f.do(admin, "GET", path+"/puller", ""), 200, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}

	f.want(f.do(admin, "DELETE", path+"/puller", ""), 204, nil)
	for _, method := range []string{"GET", "DELETE"} {
		f.wantProblem(f.do(admin, method, path+"/puller", ""), 404, `role "puller" does not exist in project demo`)
	}
	f.wantProblem(f.do(admin, "PUT", path+"/puller", `{"rules":[{"verbs":["get"],"resources":["is"]}]}`), 404, `does not exist in project demo`)
}

func TestRolesComePageByPageAndThoseOfAllProjectsAreForEveryoneToRead(t *testing.T) {
	f := newFixture(t)
	bob := f.bob()
	var all, rest RoleList
	f.want(f.do(bob, "GET", "/api/v1/clusterroles", ""), 200, &all)
	var names []string
	for _, r := range all.Items {
		names = append(names, r.Name)
		if !r.Builtin || r.Summary == "" || !r.CreatedAt.IsZero() || len(r.Rules) == 0 {
			t.Errorf("role = %+v", r)
		}
	}
	for _, name := range []string{"registry-viewer", "registry-editor", "registry-admin", "system:image-puller", "system:image-pusher", "system:image-builder", "system:image-signer", "admin", "edit", "view", "cluster-admin"} {
		if !slices.Contains(names, name) {
			t.Errorf("there is no role %s", name)
		}
	}
	f.want(f.do(bob, "GET", "/api/v1/clusterroles?limit=2", ""), 200, &rest)
	if len(rest.Items) != 2 || rest.Next != names[1] {
		t.Errorf("page = %+v", rest)
	}
	var more RoleList
	f.want(f.do(bob, "GET", "/api/v1/clusterroles?after="+rest.Next, ""), 200, &more)
	if len(more.Items) != len(names)-2 || more.Next != "" {
		t.Errorf("page = %+v", more)
	}
	f.want(f.do(bob, "GET", "/api/v1/clusterroles/view", ""), 200, nil)
	f.wantProblem(f.do(bob, "GET", "/api/v1/clusterroles/none", ""), 404, `role "none" does not exist in all projects: larder get clusterroles lists those that there are`)
	f.wantProblem(f.do(bob, "POST", "/api/v1/clusterroles", pullCentos), 403, "bob has no right to create clusterroles")
	f.wantProblem(f.do(bob, "PUT", "/api/v1/clusterroles/view", `{"rules":[]}`), 403, "bob has no right to update clusterroles")
	f.wantProblem(f.do(bob, "DELETE", "/api/v1/clusterroles/view", ""), 403, "bob has no right to delete clusterroles")
	for _, r := range []struct{ method, path, body string }{
		{"POST", "", `{"name":"view","rules":[{"verbs":["*"],"resources":["*"]}]}`},
		{"PUT", "/view", `{"rules":[{"verbs":["*"],"resources":["*"]}]}`}, {"DELETE", "/cluster-admin", ""},
	} {
		f.wantProblem(f.do(admin, r.method, "/api/v1/clusterroles"+r.path, r.body), 409, "is one that every registry has: it cannot be changed")
	}
}

func TestARoleThatCannotBeKeptSaysWhatIsWrong(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	long := strings.Repeat("x", 60_000)
	for body, want := range map[string]string{
		`{"name":"a/b","rules":[{"verbs":["get"],"resources":["is"]}]}`:          `"a/b" is no name for a role or a binding`,
		`{"name":"` + long + `","rules":[{"verbs":["get"],"resources":["is"]}]}`: "is no name for a role or a binding",
		`{"name":"r","rules":[]}`:                                                                      "a role has from 1 to 100 rules, and not 0",
		`{"name":"r","rules":[{"verbs":[],"resources":["is"]}]}`:                                       "one of them is empty",
		`{"name":"r","rules":[{"verbs":["get"],"resources":["is"],"resourceNames":["team-*"]}]}`:       `"team-*" is no resourceName`,
		`{"name":"r","rules":[{"verbs":["get"],"resources":["is"],"resourceNames":["a\u0000b"]}]}`:     "has characters that no verb",
		`{"name":"r","rules":[{"verbs":["get"],"resources":["is"],"resourceNames":["` + long + `"]}]}`: "or too many of them",
	} {
		w := f.do(admin, "POST", "/api/v1/projects/demo/roles", body)
		f.wantProblem(w, 400, want)
		if w.Body.Len() > 1000 {
			t.Errorf("the answer repeats the request: it has %d bytes", w.Body.Len())
		}
	}
	var list RoleList
	f.want(f.do(admin, "GET", "/api/v1/projects/demo/roles", ""), 200, &list)
	if len(list.Items) != 0 {
		t.Errorf("roles = %+v", list.Items)
	}
}

// What one may not see is like what is not there; whoever sees the project is told the
// right that is missing, and nobody gives what they do not hold.
func TestRolesAndBindingsAreForThoseWhoMayChangeThem(t *testing.T) {
	f := newFixture(t)
	bob := f.bob()
	f.project("demo")
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/roles", pullCentos), 201, nil)
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/rolebindings", `{"name":"b","roleKind":"Role","role":"puller","users":["eve"]}`), 201, nil)
	operations := []struct{ method, path, body, right string }{
		{"GET", "roles", "", "list roles"},
		{"GET", "roles/puller", "", "get roles"},
		{"POST", "roles", `{"name":"r","rules":[{"verbs":["get"],"resources":["is"]}]}`, "create roles"},
		{"PUT", "roles/puller", `{"rules":[{"verbs":["get"],"resources":["is"]}]}`, "update roles"},
		{"DELETE", "roles/puller", "", "delete roles"},
		{"GET", "rolebindings", "", "list rolebindings"},
		{"GET", "rolebindings/b", "", "get rolebindings"},
		{"POST", "rolebindings", `{"name":"c","role":"view","users":["bob"]}`, "create rolebindings"},
		{"DELETE", "rolebindings/b", "", "delete rolebindings"},
		{"POST", "grants", `{"role":"view","users":["bob"]}`, "create rolebindings"},
		{"DELETE", "grants", `{"role":"puller","users":["eve"]}`, "update rolebindings"},
		{"GET", "who-can?verb=get&resource=imagestreams", "", "create localresourceaccessreviews"},
	}
	for _, o := range operations {
		w := f.do(bob, o.method, "/api/v1/projects/demo/"+o.path, o.body)
		f.wantProblem(w, 404)
		gone := f.do(bob, o.method, "/api/v1/projects/none/"+o.path, o.body)
		if got, want := strings.ReplaceAll(w.Body.String(), "demo", "none"), gone.Body.String(); got != want {
			t.Errorf("%s %s tells a project that is there from one that is not:\n%s\n%s", o.method, o.path, got, want)
		}
	}
	f.member("demo", authz.RoleView)
	for _, o := range operations {
		f.wantProblem(f.do(bob, o.method, "/api/v1/projects/demo/"+o.path, o.body), 403,
			"bob has no right to "+o.right+" in project demo; its owner can run larder policy add-role-to-user registry-admin bob -n demo")
	}
	// Grants take two rights each: to make bindings and to change them, or to change them
	// and to remove them.
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/roles", `{"name":"maker","rules":[{"verbs":["create"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["rolebindings"]}]}`), 201, nil)
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/roles", `{"name":"changer","rules":[{"verbs":["update"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["rolebindings"]}]}`), 201, nil)
	f.member("demo", "maker")
	f.wantProblem(f.do(bob, "POST", "/api/v1/projects/demo/grants", `{"role":"view","users":["bob"]}`), 403, "bob has no right to update rolebindings")
	f.member("demo", "changer")
	f.wantProblem(f.do(bob, "DELETE", "/api/v1/projects/demo/grants", `{"role":"puller","users":["eve"]}`), 403, "bob has no right to delete rolebindings")

	f.member("demo", authz.RoleRegistryAdmin)
	const escalates = "bob cannot give what bob does not hold in project demo: "
	for _, o := range []struct{ method, path, body, missing string }{
		{"POST", "grants", `{"role":"admin","users":["bob"]}`, "update builds/details, get builds, create serviceaccounts/token, update projects, patch projects"},
		{"POST", "grants", `{"role":"cluster-admin","groups":["system:authenticated"]}`, "* *"},
		{"POST", "rolebindings", `{"name":"c","role":"admin","users":["bob"]}`, "update projects"},
		{"POST", "roles", `{"name":"r","rules":[{"verbs":["update"],"resources":["projects"]}]}`, "update projects"},
		{"PUT", "roles/puller", `{"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}`, "* *"},
	} {
		f.wantProblem(f.do(bob, o.method, "/api/v1/projects/demo/"+o.path, o.body), 403, escalates, o.missing, "ask somebody who holds it")
	}
}

func TestEveryChangeOfWhoMayWhatIsInTheAuditLog(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	f.do(admin, "POST", "/api/v1/projects/demo/roles", pullCentos)
	f.do(admin, "PUT", "/api/v1/projects/demo/roles/puller", `{"rules":[{"verbs":["get"],"resources":["is"]}]}`)
	f.do(admin, "POST", "/api/v1/projects/demo/rolebindings", `{"name":"b","roleKind":"Role","role":"puller","users":["eve"]}`)
	f.do(admin, "POST", "/api/v1/projects/demo/grants", `{"role":"view","users":["eve"]}`)
	f.do(admin, "POST", "/api/v1/projects/demo/grants", `{"role":"none","users":["eve"]}`)
	f.do(admin, "DELETE", "/api/v1/projects/demo/grants", `{"role":"view","users":["eve"]}`)
	f.do(admin, "DELETE", "/api/v1/projects/demo/rolebindings/b", "")
	f.do(admin, "DELETE", "/api/v1/projects/demo/roles/puller", "")
	var got []string
	for _, e := range f.events() {
		if e.Actor == "admin" && strings.Contains(e.Action, "role") || strings.Contains(e.Action, "grant") {
			got = append(got, e.Action+" "+e.Project+" "+e.Result)
		}
	}
	slices.Sort(got)
	want := []string{
		"create-grant demo done", "create-grant demo refused", "create-role demo done", "create-rolebinding demo done",
		"delete-grant demo done", "delete-role demo done", "delete-rolebinding demo done", "update-role demo done",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
