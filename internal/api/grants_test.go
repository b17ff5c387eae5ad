package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARoleIsGivenAndTakenAndEachLineSaysWhatWasDone(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	const path = "/api/v1/projects/demo/grants"
	for _, tt := range []struct {
		method, body string
		want         GrantAnswer
	}{
		{"POST", `{"role":"registry-viewer","users":["bob","system:authenticated"],"groups":["devs"]}`, GrantAnswer{
			Bindings: []string{"registry-viewer"},
			Done: []string{
				"role registry-viewer was given to user bob in project demo",
				"role registry-viewer was given to group system:authenticated in project demo; system:authenticated is a group, and was taken for one",
				"role registry-viewer was given to group devs in project demo",
			},
		}},
		{"POST", `{"role":"registry-viewer","users":["bob","eve"]}`, GrantAnswer{
			Bindings: []string{"registry-viewer"},
			Done: []string{
				"role registry-viewer has been given already to user bob in project demo",
				"role registry-viewer was given to user eve in project demo",
			},
		}},
		{"POST", `{"role":"registry-viewer","groups":["system:anonymous"]}`, GrantAnswer{
			Bindings: []string{"registry-viewer"},
			Done:     []string{"role registry-viewer was given to user system:anonymous in project demo; system:anonymous is a user, and was taken for one"},
		}},
		{"DELETE", `{"role":"registry-viewer","users":["bob","nobody"]}`, GrantAnswer{
			Bindings: []string{"registry-viewer"},
			Done: []string{
				"role registry-viewer was taken from user bob in project demo",
				"role registry-viewer has not been given to user nobody in project demo",
			},
		}},
		{"DELETE", `{"role":"registry-viewer","users":["eve","system:authenticated","system:anonymous"],"groups":["devs"]}`, GrantAnswer{
			Bindings: []string{"registry-viewer"},
			Done: []string{
				"role registry-viewer was taken from user eve in project demo",
				"role registry-viewer was taken from group system:authenticated in project demo; system:authenticated is a group, and was taken for one",
				"role registry-viewer was taken from user system:anonymous in project demo",
				"role registry-viewer was taken from group devs in project demo",
			},
		}},
	} {
		var got GrantAnswer
		f.want(f.do(admin, tt.method, path, tt.body), 200, &got)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.body, diff)
		}
	}
	// The binding went with its last subject; the one that every project has stays.
	var left RoleBindingList
	f.want(f.do(admin, "GET", "/api/v1/projects/demo/rolebindings", ""), 200, &left)
	if len(left.Items) != 2 || left.Items[0].Name != "admin" || left.Items[1].Name != "system:image-pullers" || !left.Items[1].Builtin {
		t.Errorf("bindings = %+v", left.Items)
	}

	f.wantProblem(f.do(admin, "DELETE", path, `{"role":"registry-viewer","users":["bob"]}`), 404,
		"no binding in project demo gives role registry-viewer to user bob: larder get rolebindings lists those that there are")
	f.wantProblem(f.do(admin, "DELETE", path, `{"role":"system:image-puller","groups":["system:serviceaccounts:demo"]}`), 409, "cannot be changed")
	f.wantProblem(f.do(admin, "POST", path, `{"role":"none","users":["bob"]}`), 404, `role "none": there is no such role in project demo: larder get roles and larder get clusterroles list`)
	f.wantProblem(f.do(admin, "POST", path, `{"role":"view","roleKind":"Role","users":["bob"]}`), 404, "there is no such role in project demo")
	f.wantProblem(f.do(admin, "POST", path, `{"role":"view"}`), 400, "a binding has from 1 to 1000 users and groups, and not 0")
	f.wantProblem(f.do(admin, "POST", path, `{"role":"view","users":["a\u001b[2J"]}`), 400, "is no name of a user or a group")
	f.wantProblem(f.do(admin, "POST", "/api/v1/projects/none/grants", `{"role":"view","users":["bob"]}`), 404, "none")
}

func TestARoleForAllProjectsIsGivenByWhoMayDoSo(t *testing.T) {
	f := newFixture(t)
	bob := f.bob()
	f.project("demo")
	f.wantProblem(f.do(bob, "POST", "/api/v1/clustergrants", `{"role":"cluster-admin","users":["bob"]}`), 403, "bob has no right to create clusterrolebindings in all projects")
	f.wantProblem(f.do(bob, "DELETE", "/api/v1/clustergrants", `{"role":"cluster-admin","groups":["system:masters"]}`), 403, "bob has no right to update clusterrolebindings")
	f.wantProblem(f.do(bob, "GET", "/api/v1/clusterrolebindings", ""), 403, "bob has no right to list clusterrolebindings")
	f.want(f.do(admin, "POST", "/api/v1/clustergrants", `{"role":"view","users":["bob"]}`), 200, nil)
	f.want(f.do(bob, "GET", "/api/v1/projects/demo", ""), 200, nil)
	f.want(f.do(admin, "DELETE", "/api/v1/clustergrants", `{"role":"view","users":["bob"]}`), 200, nil)
	f.wantProblem(f.do(bob, "GET", "/api/v1/projects/demo", ""), 404)
	f.wantProblem(f.do(admin, "DELETE", "/api/v1/clustergrants", `{"role":"cluster-admin","groups":["system:masters"]}`), 409, "cannot be changed")
}

func TestABindingIsMadeReadAndRemoved(t *testing.T) {
	f := newFixture(t)
	bob := f.bob()
	f.project("demo")
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/roles", pullCentos), 201, nil)
	const path = "/api/v1/projects/demo/rolebindings"
	want := RoleBinding{
		Project: "demo", Name: "b", RoleKind: "Role", Role: "puller", Creator: "admin", CreatedAt: f.now,
		Users: []string{"system:anonymous", "bob"}, Groups: []string{"system:authenticated"},
	}
	var got RoleBinding
	f.want(f.do(admin, "POST", path, `{"name":"b","roleKind":"Role","role":"puller","users":["system:anonymous","system:authenticated","bob"]}`), 201, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	got = RoleBinding{}
	f.want(f.do(admin, "GET", path+"/b", ""), 200, &got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	review := func() (r AccessReview) {
		f.want(f.do(bob, "POST", "/api/v1/accessreviews", `{"verb":"get","resource":"imagestreams/layers","project":"demo","name":"centos"}`), 200, &r)
		return r
	}
	if r := review(); !r.Allowed || len(r.Reasons) != 1 {
		t.Errorf("review = %+v", r)
	}
	// Without a kind it is a role of all projects, and a role of the project is none.
	f.wantProblem(f.do(admin, "POST", path, `{"name":"c","role":"puller","users":["bob"]}`), 404, `role "puller": there is no such role in project demo`)
	f.wantProblem(f.do(admin, "POST", path, `{"name":"b","role":"view","users":["bob"]}`), 409, "project demo has one of that name")
	f.wantProblem(f.do(admin, "POST", path, `{"name":"system:image-pullers","role":"view","users":["bob"]}`), 409, "cannot be changed")
	f.wantProblem(f.do(admin, "POST", "/api/v1/clusterrolebindings", `{"name":"c","roleKind":"Role","role":"view","users":["bob"]}`), 400, "binds a role of all projects")
	f.want(f.do(admin, "DELETE", path+"/b", ""), 204, nil)
	if r := review(); r.Allowed {
		t.Errorf("review = %+v", r)
	}
	for _, method := range []string{"GET", "DELETE"} {
		f.wantProblem(f.do(admin, method, path+"/b", ""), 404, `role binding "b" does not exist in project demo: larder get rolebindings -n demo lists those that there are`)
	}
	f.wantProblem(f.do(admin, "DELETE", path+"/system:image-pullers", ""), 409, "cannot be changed")
}
