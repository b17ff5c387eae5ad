package api

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// rights lets callers do what is listed: user, action and what it is done to, which is a
// project or a repository.
type rights struct {
	Authorizer
	given []string
}

func (r rights) Allowed(ctx context.Context, id authn.Identity, action authz.Action, target authz.Target) (bool, error) {
	for _, name := range []string{target.Project, target.Repository} {
		if name != "" && slices.Contains(r.given, id.User+" "+string(action)+" "+name) {
			return true, nil
		}
	}
	return r.Authorizer.Allowed(ctx, id, action, target)
}

func (r rights) ForMany() authz.Decide { return r.Allowed }

// give lets callers do what is listed.
func (f *fixture) give(given ...string) {
	f.config.Authorizer = rights{f.config.Authorizer, given}
	f.handler = New(f.config)
}

// push pushes an image of one layer for linux/amd64.
func (f *fixture) push(repo oci.Repository, tag, layer string) digest.Digest {
	f.t.Helper()
	config := `{"os":"linux","architecture":"amd64"}`
	var descriptors []string
	for mediaType, content := range map[string]string{"config.v1+json": config, "layer.v1.tar": layer} {
		d := digest.FromString(content)
		if err := f.hosted.PutBlob(f.t.Context(), repo, d, bytes.NewReader([]byte(content))); err != nil {
			f.t.Fatal(err)
		}
		descriptors = append(descriptors, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.%s","digest":%q,"size":%d}`, mediaType, d, len(content)))
	}
	slices.Sort(descriptors) // the configuration first
	content := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}`, descriptors[0], descriptors[1])
	receipt, err := f.hosted.PutManifest(f.t.Context(), repo, registry.ManifestPush{Reference: oci.Reference{Tag: tag}, Content: []byte(content), Actor: "alice"})
	if err != nil {
		f.t.Fatal(err)
	}
	return receipt.Digest
}

func (f *fixture) project(names ...string) {
	f.t.Helper()
	for _, name := range names {
		f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"`+name+`"}`), 201, nil)
	}
}

func TestAProjectIsChangedPartByPart(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	f.want(f.do(admin, "PATCH", "/api/v1/projects/demo", `{"quota":1000}`), 200, nil)
	f.want(f.do(admin, "PATCH", "/api/v1/projects/demo", `{"immutableTags":["v*"],"description":"Ours"}`), 200, nil)
	var got Project
	f.want(f.do(admin, "GET", "/api/v1/projects/demo", ""), 200, &got)
	if got.Quota != 1000 || got.Description != "Ours" || len(got.ImmutableTags) != 1 || *got.Used != 0 {
		t.Errorf("project = %+v", got)
	}
	f.wantProblem(f.do(admin, "PATCH", "/api/v1/projects/demo", `{"immutableTags":["["]}`), 400, "demo was not changed", "[a-z]")
	f.cacheProject("docker-hub")
	f.wantProblem(f.do(admin, "PATCH", "/api/v1/projects/docker-hub", `{"quota":1}`), 400, "cacheSize")
	bob := f.bob()
	f.give("bob get projects demo")
	f.wantProblem(f.do(bob, "PATCH", "/api/v1/projects/demo", `{"quota":1}`), 403, "update projects")
	f.wantProblem(f.do(bob, "DELETE", "/api/v1/projects/demo", ""), 403, "delete projects")
	f.want(f.do(admin, "DELETE", "/api/v1/projects/demo", ""), 204, nil)
	f.wantProblem(f.do(admin, "GET", "/api/v1/projects/demo", ""), 404)
}

func TestARepositoryIsMadeDescribedAndDeleted(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	const all = "/api/v1/projects/demo/repositories"
	w := f.do(admin, "POST", all, `{"name":"team/app","description":"The app"}`)
	var made Repository
	f.want(w, 201, &made)
	at := w.Header().Get("Location")
	if at != all+"/team%2Fapp" || made.Name != "team/app" || made.Description != "The app" || made.Visibility != "private" {
		t.Errorf("made %+v at %s", made, at)
	}
	f.wantProblem(f.do(admin, "POST", all, `{"name":"team/app"}`), 409, "it is there already")
	f.wantProblem(f.do(admin, "POST", all, `{"name":"Team"}`), 400, "not valid")
	f.want(f.do(admin, "PATCH", at, `{"readme":"# The app"}`), 200, &made)
	if made.Description != "The app" || made.Readme != "# The app" {
		t.Errorf("described %+v", made)
	}
	f.wantProblem(f.do(admin, "PATCH", at, `{"description":"`+strings.Repeat("x", 101)+`"}`), 422)
	f.push("demo/team/app", "1", "layer")
	f.want(f.do(admin, "DELETE", at, ""), 204, nil)
	f.wantProblem(f.do(admin, "GET", at, ""), 404)
	f.wantProblem(f.do(admin, "DELETE", at, ""), 404)
}

func TestARepositoryOneMayNotSeeIsLikeOneThatIsNotThere(t *testing.T) {
	f := newFixture(t)
	f.project("demo", "secret")
	f.push("demo/app", "1", "layer")
	f.push("secret/app", "1", "layer")
	bob := f.bob()
	f.give("bob get projects demo", "bob get imagestreams demo/shown")
	const app = "/repositories/app"
	for _, o := range []struct{ method, rest, body string }{
		{"GET", "", ""}, {"PATCH", "", `{"description":"x"}`}, {"DELETE", "", ""}, {"GET", "/tags", ""},
		{"GET", "/tags/1", ""}, {"DELETE", "/tags/1", ""}, {"GET", "/tags/1/history", ""},
	} {
		for _, project := range []string{"demo", "secret"} {
			hidden := f.do(bob, o.method, "/api/v1/projects/"+project+app+o.rest, o.body)
			missing := f.do(bob, o.method, "/api/v1/projects/"+project+"/repositories/none"+o.rest, o.body)
			f.wantProblem(hidden, 404)
			if got := strings.ReplaceAll(missing.Body.String(), "none", "app"); got != hidden.Body.String() {
				t.Errorf("%s %s: they can be told apart:\n%s%s", o.method, o.rest, missing.Body, hidden.Body)
			}
		}
	}
}

func TestWhoMayOnlyPullSeesNoList(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	for _, name := range []string{"c", "a", "b"} {
		f.push(oci.Repository("demo/"+name), "1", "layer")
	}
	bob := f.bob()
	f.give("bob get projects demo", "bob get imagestreams/layers demo")
	f.wantProblem(f.do(bob, "GET", "/api/v1/projects/demo/repositories", ""), 403, "list imagestreams")
	f.give("bob get projects demo", "bob list imagestreams demo")
	var page RepositoryList
	f.want(f.do(bob, "GET", "/api/v1/projects/demo/repositories?limit=2", ""), 200, &page)
	if len(page.Items) != 2 || page.Items[0].Name != "a" || page.Items[0].Tags != 1 || page.Items[0].UpdatedAt == nil || page.Next != "b" {
		t.Errorf("page = %+v", page)
	}
	f.want(f.do(bob, "GET", "/api/v1/projects/demo/repositories?limit=2&after=b", ""), 200, &page)
	if len(page.Items) != 1 || page.Items[0].Name != "c" {
		t.Errorf("page = %+v", page)
	}
}

func TestTagsTellWhatTheyNameAndWhere(t *testing.T) {
	f := newFixture(t)
	f.project("demo", "shop")
	old := f.push("demo/app", "latest", "old layer")
	d := f.push("demo/app", "latest", "a new layer")
	const tags = "/api/v1/projects/demo/repositories/app/tags"
	var list TagList
	f.want(f.do(admin, "GET", tags, ""), 200, &list)
	if len(list.Items) != 1 {
		t.Fatalf("list = %+v", list)
	}
	got := list.Items[0]
	if got.Digest != d.String() || got.Size < 100 || got.PushedAt == nil || got.PulledAt != nil {
		t.Errorf("tag = %+v", got)
	}
	if diff := cmp.Diff([]string{"linux/amd64"}, got.Platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	f.want(f.do(admin, "PUT", tags+"/latest", `{"source":"demo/app@`+old.String()+`"}`), 200, &got)
	if got.Digest != old.String() {
		t.Errorf("rolled back to %s", got.Digest)
	}
	var history TagHistory
	f.want(f.do(admin, "GET", tags+"/latest/history", ""), 200, &history)
	if len(history.Items) != 3 || history.Items[0].Actor != "admin" || history.Items[1].Digest != d.String() {
		t.Errorf("history = %+v", history)
	}
	f.want(f.do(admin, "PUT", "/api/v1/projects/shop/repositories/app/tags/1", `{"source":"demo/app:latest"}`), 200, &got)
	f.want(f.do(admin, "DELETE", tags+"/latest", ""), 204, nil)
	f.wantProblem(f.do(admin, "GET", tags+"/latest", ""), 404)
	f.want(f.do(admin, "GET", tags+"/latest/history", ""), 200, nil)
	f.wantProblem(f.do(admin, "PUT", tags+"/latest", `{"source":"demo/app"}`), 400, "PROJECT/REPOSITORY:TAG")
	f.wantProblem(f.do(admin, "PUT", tags+"/-x", `{"source":"demo/app:1"}`), 400, "not valid")
}

func TestATagTakesPullingFromTheSourceAndTaggingInTheTarget(t *testing.T) {
	f := newFixture(t)
	f.project("demo", "shop")
	f.cacheProject("docker-hub")
	f.push("demo/app", "1", "layer")
	bob := f.bob()
	tag := func(source string, status int, texts ...string) {
		t.Helper()
		w := f.do(bob, "PUT", "/api/v1/projects/shop/repositories/app/tags/1", `{"source":"`+source+`"}`)
		if status != 200 {
			f.wantProblem(w, status, texts...)
			return
		}
		f.want(w, status, nil)
	}
	tag("demo/app:1", 404)
	f.give("bob get projects shop")
	tag("demo/app:1", 403, "update imagestreamtags")
	f.give("bob get projects shop", "bob update imagestreamtags shop")
	tag("demo/app:1", 403, "create imagestreams")
	f.give("bob get projects shop", "bob update imagestreamtags shop", "bob create imagestreams shop")
	tag("demo/app:1", 404, "does not exist, or you may not pull it")
	tag("none/app:1", 404, "does not exist, or you may not pull it")
	tag("docker-hub/library/nginx:1", 400, "import-image")
	f.give("bob get projects shop", "bob update imagestreamtags shop", "bob create imagestreams shop", "bob get imagestreams/layers demo/app")
	tag("demo/app:1", 200)
}

func TestWhatIsChangedAndRefusedIsInTheAuditLog(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	bob := f.bob()
	f.give("bob get projects demo")
	f.want(f.do(admin, "GET", "/api/v1/projects/demo", ""), 200, nil)
	f.wantProblem(f.do(bob, "DELETE", "/api/v1/projects/demo", ""), 403)
	f.wantProblem(f.do(nobody, "DELETE", "/api/v1/projects/demo", ""), 401)
	f.wantProblem(f.do(bearer("larder_"+strings.Repeat("x", 40)), "GET", "/api/v1/projects/demo", ""), 401)
	var list EventList
	f.want(f.do(admin, "GET", "/api/v1/events", ""), 200, &list)
	var got []string
	for _, e := range list.Items {
		got = append(got, strings.Join([]string{e.Actor, e.Address, e.Action, e.Project, e.Object, e.Result}, "|"))
		if strings.Contains(fmt.Sprint(e), "xxxx") || strings.Contains(fmt.Sprint(e), password) {
			t.Errorf("an event tells a secret: %+v", e)
		}
	}
	want := []string{
		"|192.0.2.1|login|||refused",
		"bob|192.0.2.1|delete-project|demo|demo|refused",
		"admin|192.0.2.1|create-project|demo|demo|done",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	f.want(f.do(admin, "GET", "/api/v1/events?limit=1&project=demo", ""), 200, &list)
	if len(list.Items) != 1 || list.Next == "" || list.Items[0].Actor != "bob" {
		t.Errorf("page = %+v", list)
	}
	f.want(f.do(admin, "GET", "/api/v1/events?project=demo&after="+list.Next, ""), 200, &list)
	if len(list.Items) != 1 || list.Items[0].Actor != "admin" {
		t.Errorf("second page = %+v", list)
	}
	f.wantProblem(f.do(bob, "GET", "/api/v1/events?project=demo", ""), 403, "list events")
	f.wantProblem(f.do(bob, "GET", "/api/v1/events", ""), 403)
}

// counting counts the questions to the projects' table.
type counting struct {
	Projects
	questions int
}

func (c *counting) List(ctx context.Context, after string, limit int) ([]metadata.Project, error) {
	c.questions++
	return c.Projects.List(ctx, after, limit)
}

func (c *counting) Used(ctx context.Context, name string) (int64, error) {
	c.questions++
	return c.Projects.Used(ctx, name)
}

func TestAPageOfManyProjectsIsOneQuestionToTheDatabase(t *testing.T) {
	f := newFixture(t)
	for i := range 1200 {
		p := metadata.Project{Name: fmt.Sprintf("p%05d", i), Kind: metadata.Hosted, CreatedAt: f.now}
		if err := f.db.Projects.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	counted := &counting{Projects: f.db.Projects}
	f.config.Projects = counted
	f.handler = New(f.config)
	var page ProjectList
	f.want(f.do(admin, "GET", "/api/v1/projects?limit=1000", ""), 200, &page)
	if len(page.Items) != 1000 || page.Next != "p00999" || counted.questions != 1 {
		t.Errorf("%d projects, the next after %s, by %d questions", len(page.Items), page.Next, counted.questions)
	}
}
