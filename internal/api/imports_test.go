package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/imports"
	"github.com/larder-registry/larder/internal/metadata"
)

// source imports what it is told to, and remembers what was wanted.
type source struct {
	f      *fixture
	wanted []metadata.Import
	done   func(*metadata.Import) // how a try went
	err    error
}

func (s *source) Import(ctx context.Context, wanted metadata.Import) (metadata.Import, error) {
	s.wanted = append(s.wanted, wanted)
	if s.err != nil {
		return metadata.Import{}, s.err
	}
	wanted.CreatedAt = s.f.now
	if s.done != nil {
		s.done(&wanted)
	}
	return wanted, s.f.db.Imports.Set(ctx, wanted)
}

// imported is a fixture whose project demo has the repository centos.
func imported(t *testing.T) (*fixture, *source) {
	t.Helper()
	f := newFixture(t)
	from := &source{f: f}
	f.config.Importer, f.config.Imports = from, f.db.Imports
	f.handler = New(f.config)
	f.project("demo")
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/repositories", `{"name":"centos"}`), 201, nil)
	return f, from
}

const importsPath = "/api/v1/projects/demo/repositories/centos/imports"

// last reads the last line of the answer to an import.
func last(t *testing.T, lines string) (line ImportLine) {
	t.Helper()
	all := strings.Split(strings.TrimSpace(lines), "\n")
	if err := json.Unmarshal([]byte(all[len(all)-1]), &line); err != nil {
		t.Fatalf("reading %q: %v", lines, err)
	}
	return line
}

func TestAnImageIsImportedAndItIsToldHowThatWent(t *testing.T) {
	f, from := imported(t)
	d := digest.FromString("an image")
	from.done = func(i *metadata.Import) { i.Digest, i.CheckedAt, i.ImportedAt = d, f.now, f.now }
	want := Import{
		Repository: "demo/centos", Tag: "7", From: "docker.io/library/centos:7", Scheduled: true, Creator: "admin",
		CreatedAt: f.now, CheckedAt: &f.now, ImportedAt: &f.now, Digest: d, Conditions: []ImportCondition{{Type: "ImportSuccess", Status: "True"}},
	}
	w := f.do(admin, "POST", importsPath, `{"tag":"7","from":"docker.io/library/centos:7","scheduled":true}`)
	f.want(w, 200, nil)
	line := last(t, w.Body.String())
	if diff := cmp.Diff(&want, line.Import); diff != "" || line.Error != "" || line.Working {
		t.Errorf("import (-want +got):\n%s", diff)
	}
	var list ImportList
	f.want(f.do(admin, "GET", importsPath, ""), 200, &list)
	if diff := cmp.Diff([]Import{want}, list.Items); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}

	// One that fails is an answer too, and tells why.
	from.done = func(i *metadata.Import) {
		i.CheckedAt, i.Reason, i.Message = f.now.Add(time.Hour), "NotFound", "docker.io has no such image"
	}
	w = f.do(admin, "POST", importsPath, `{"tag":"7"}`)
	f.want(w, 200, nil)
	line = last(t, w.Body.String())
	failed := []ImportCondition{{Type: "ImportSuccess", Status: "False", Reason: "NotFound", Message: "docker.io has no such image"}}
	if line.Import == nil || line.Import.From != "docker.io/library/centos:7" || line.Import.Digest != d {
		t.Fatalf("the second import is not that of the last source: %s", w.Body)
	}
	if diff := cmp.Diff(failed, line.Import.Conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	// Another source is another image: what the last one was says nothing of it.
	from.done = nil
	f.want(f.do(admin, "POST", importsPath, `{"tag":"7","from":"quay.io/centos/centos:7"}`), 200, nil)
	if wanted := from.wanted[len(from.wanted)-1]; wanted.Digest != "" || !wanted.ImportedAt.IsZero() || wanted.Scheduled {
		t.Errorf("wanted = %+v", wanted)
	}
}

func TestAnImportThatCannotBeBegunSaysWhatToDo(t *testing.T) {
	f, from := imported(t)
	f.cacheProject("docker-hub")
	for _, tt := range []struct {
		path, body string
		status     int
		want       string
	}{
		{importsPath, `{"tag":"7"}`, 400, "demo/centos:7 was never imported: say from where, with --from=IMAGE"},
		{importsPath, `{"tag":"not a tag","from":"centos"}`, 400, "not a tag"},
		{importsPath, `{"tag":"7","from":"http://evil.example.com/x"}`, 400, "http://evil.example.com/x"},
		{importsPath, `{"tag":"7","from":"../../etc/passwd"}`, 400, "etc/passwd"},
		{importsPath, `{"tag":"7","from":"` + strings.Repeat("a", 1001) + `"}`, 422, "see errors"},
		{"/api/v1/projects/demo/repositories/new/imports", `{"tag":"7","from":"centos:7"}`, 404, "repository demo/new does not exist: add --confirm to make it"},
		{"/api/v1/projects/demo/repositories/..%2Fother%2Fapp/imports", `{"tag":"7","from":"centos:7","create":true}`, 400, "demo/../other/app"},
		{"/api/v1/projects/docker-hub/repositories/x/imports", `{"tag":"7","from":"centos:7","create":true}`, 400, "import into a project that people push to"},
		{"/api/v1/projects/none/repositories/x/imports", `{"tag":"7","from":"centos:7","create":true}`, 404, "none"},
	} {
		f.wantProblem(f.do(admin, "POST", tt.path, tt.body), tt.status, tt.want)
	}
	if len(from.wanted) != 0 {
		t.Errorf("it was tried: %+v", from.wanted)
	}
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/repositories/new/imports", `{"tag":"7","from":"centos:7","create":true}`), 200, nil)

	from.err = imports.ErrBusy
	f.wantProblem(f.do(admin, "POST", importsPath, `{"tag":"7","from":"centos:7"}`), 409, "wait for that to end")
	from.err = errors.New("the secret of the database is hush")
	w := f.do(admin, "POST", importsPath, `{"tag":"7","from":"centos:7"}`)
	f.wantProblem(w, 500, "the registry's log tells its administrator more")
	if strings.Contains(w.Body.String(), "hush") || !strings.Contains(f.log.String(), "hush") {
		t.Errorf("the fault is told to the caller, or not to the log: %s", w.Body)
	}
}

func TestAnImportIsForThoseWhoMayImport(t *testing.T) {
	f, from := imported(t)
	bob := f.bob()
	const body = `{"tag":"7","from":"centos:7"}`
	f.wantProblem(f.do(bob, "POST", importsPath, body), 404, "demo")
	f.wantProblem(f.do(bob, "GET", importsPath, ""), 404, "demo")
	f.member("demo", authz.RoleView)
	f.want(f.do(bob, "GET", importsPath, ""), 200, nil)
	f.wantProblem(f.do(bob, "POST", importsPath, body), 403,
		"bob has no right to create imagestreamimports in project demo; its owner can run larder policy add-role-to-user registry-editor bob -n demo")
	if len(from.wanted) != 0 {
		t.Errorf("it was tried: %+v", from.wanted)
	}
	f.member("demo", authz.RoleRegistryEditor)
	f.want(f.do(bob, "POST", importsPath, body), 200, nil)
	if len(from.wanted) != 1 || from.wanted[0].Creator != "bob" {
		t.Errorf("wanted = %+v", from.wanted)
	}
	// To see one repository is not to see what another one imports.
	f.want(f.do(admin, "DELETE", "/api/v1/projects/demo/grants", `{"role":"view","users":["bob"]}`), 200, nil)
	f.want(f.do(admin, "DELETE", "/api/v1/projects/demo/grants", `{"role":"registry-editor","users":["bob"]}`), 200, nil)
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/roles", `{"name":"one","rules":[{"verbs":["get"],"resources":["is"],"resourceNames":["debian"]},{"verbs":["get"],"resources":["projects"]}]}`), 201, nil)
	f.member("demo", "one")
	if w := f.do(bob, "GET", importsPath, ""); w.Code != 403 && w.Code != 404 {
		t.Errorf("the imports of another repository: %d %s", w.Code, w.Body)
	}
}

func TestWhoSeesARepositoryIsToldWhatItImports(t *testing.T) {
	f, _ := imported(t)
	bob := f.bob()
	f.cacheProject("docker-hub")
	if err := f.db.Repositories.Create(t.Context(), "docker-hub/library/nginx"); err != nil {
		t.Fatal(err)
	}
	// A cache imports nothing, which is no error.
	var list ImportList
	f.want(f.do(admin, "GET", "/api/v1/projects/docker-hub/repositories/library%2Fnginx/imports", ""), 200, &list)
	if list.Items == nil || len(list.Items) > 0 {
		t.Errorf("imports of a cache: %+v", list.Items)
	}
	// It does not take to see the project.
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/roles", `{"name":"one","rules":[{"verbs":["get"],"resources":["is"],"resourceNames":["centos"]}]}`), 201, nil)
	f.member("demo", "one")
	f.want(f.do(bob, "GET", importsPath, ""), 200, nil)
}
