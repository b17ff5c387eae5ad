package api

import "testing"

func TestVisibilityTellsWhoCanPull(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	f.push("demo/app", "1", "layer")
	f.push("demo/other", "1", "layer")
	grants := "/api/v1/projects/demo/grants"
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/roles", `{"name":"app","rules":[{"verbs":["get"],"resources":["imagestreams/layers"],"resourceNames":["app"]}]}`), 201, nil)
	for _, step := range []struct{ method, grant, project, app, other string }{
		{"", "", "private", "private", "private"},
		{"POST", `{"role":"app","roleKind":"Role","groups":["system:authenticated"]}`, "private", "logged in", "private"},
		{"POST", `{"role":"system:image-puller","groups":["system:authenticated"]}`, "logged in", "logged in", "logged in"},
		{"POST", `{"role":"app","roleKind":"Role","users":["system:anonymous"]}`, "logged in", "public", "logged in"},
		{"DELETE", `{"role":"app","roleKind":"Role","users":["system:anonymous"]}`, "logged in", "logged in", "logged in"},
		{"POST", `{"role":"registry-viewer","groups":["system:unauthenticated"]}`, "public", "public", "public"},
	} {
		if step.method != "" {
			f.want(f.do(admin, step.method, grants, step.grant), 200, nil)
		}
		var project Project
		var app, other Repository
		f.want(f.do(admin, "GET", "/api/v1/projects/demo", ""), 200, &project)
		f.want(f.do(admin, "GET", "/api/v1/projects/demo/repositories/app", ""), 200, &app)
		f.want(f.do(admin, "GET", "/api/v1/projects/demo/repositories/other", ""), 200, &other)
		if project.Visibility != step.project || app.Visibility != step.app || other.Visibility != step.other {
			t.Errorf("after %s %s: the project is %s, one repository %s, the other %s", step.method, step.grant, project.Visibility, app.Visibility, other.Visibility)
		}
	}
}
