package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

func (f *fixture) cacheProject(name string) {
	f.t.Helper()
	if err := f.db.Projects.Ensure(f.t.Context(), metadata.Project{Name: name, Kind: metadata.Cache, CreatedAt: f.now}); err != nil {
		f.t.Fatal(err)
	}
}

// bob adds a user without any right.
func (f *fixture) bob() as {
	f.t.Helper()
	if err := f.db.Users.Create(f.t.Context(), metadata.User{Name: "bob", CreatedAt: f.now}); err != nil {
		f.t.Fatal(err)
	}
	secret, _, err := f.authn.CreateToken(f.t.Context(), authn.NewToken{User: "bob", Life: time.Hour})
	if err != nil {
		f.t.Fatal(err)
	}
	return bearer(secret)
}

func TestAProjectIsMadeAndFound(t *testing.T) {
	f := newFixture(t)
	want := Project{Name: "demo", Kind: "hosted", Description: "For trying things", Creator: "admin", CreatedAt: f.now, Visibility: "private", Used: new(int64)}
	var made, found Project
	w := f.do(admin, "POST", "/api/v1/projects", `{"name":"demo","description":"For trying things"}`)
	f.want(w, 201, &made)
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	f.want(f.do(admin, "GET", w.Header().Get("Location"), ""), 200, &found)
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestAProjectThatIsThereIsNotMadeAgain(t *testing.T) {
	f := newFixture(t)
	f.cacheProject("docker-hub")
	f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"demo","description":"first"}`), 201, nil)
	f.wantProblem(f.do(admin, "POST", "/api/v1/projects", `{"name":"demo"}`), 409, "project demo was not made", "larder project demo")
	f.wantProblem(f.do(admin, "POST", "/api/v1/projects", `{"name":"docker-hub"}`), 409, "docker-hub")
	var found Project
	f.want(f.do(admin, "GET", "/api/v1/projects/demo", ""), 200, &found)
	if found.Description != "first" {
		t.Errorf("description = %q", found.Description)
	}
}

func TestNamesThatNoProjectMayHave(t *testing.T) {
	f := newFixture(t)
	tests := []struct{ name, project, text string }{
		{"an empty name", "", "not valid"},
		{"capital letters", "Demo", "not valid"},
		{"two dots", "a..b", "not valid"},
		{"a dash at the end", "demo-", "not valid"},
		{"a space", "my demo", "not valid"},
		{"two segments", "demo/app", "slash"},
		{"one that is too long", strings.Repeat("x", 256), "not valid"},
		{"a reserved one", "users", "reserved"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.wantProblem(f.do(admin, "POST", "/api/v1/projects", fmt.Sprintf(`{"name":%q}`, tt.project)), 400, tt.text)
		})
	}
}

func TestACacheProjectIsNotMadeByHand(t *testing.T) {
	f := newFixture(t)
	f.wantProblem(f.do(admin, "POST", "/api/v1/projects", `{"name":"quay","kind":"cache"}`), 400, "--upstream NAME=URL")
	f.wantProblem(f.do(admin, "GET", "/api/v1/projects/quay", ""), 404)
}

func TestAUserWithoutTheRightMakesNoProject(t *testing.T) {
	f := newFixture(t)
	bob := f.bob()
	f.wantProblem(f.do(bob, "POST", "/api/v1/projects", `{"name":"demo"}`), 403, "bob has no right to create projectrequests")
	f.wantProblem(f.do(admin, "GET", "/api/v1/projects/demo", ""), 404)
}

func TestAProjectOneMayNotSeeIsLikeOneThatIsNotThere(t *testing.T) {
	f := newFixture(t)
	bob := f.bob()
	f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"secret"}`), 201, nil)
	hidden := f.do(bob, "GET", "/api/v1/projects/secret", "")
	missing := f.do(bob, "GET", "/api/v1/projects/nowhere", "")
	f.wantProblem(hidden, 404)
	if got := strings.ReplaceAll(missing.Body.String(), "nowhere", "secret"); got != hidden.Body.String() {
		t.Errorf("they can be told apart:\n%s%s", missing.Body, hidden.Body)
	}
	var list ProjectList
	f.want(f.do(bob, "GET", "/api/v1/projects", ""), 200, &list)
	if diff := cmp.Diff(ProjectList{Items: []Project{}}, list); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestProjectsComePageByPage(t *testing.T) {
	f := newFixture(t)
	f.cacheProject("docker-hub")
	for _, name := range []string{"delta", "alpha", "charlie", "bravo"} {
		f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"`+name+`"}`), 201, nil)
	}
	var pages [][]string
	after := ""
	for range 10 {
		var page ProjectList
		f.want(f.do(admin, "GET", "/api/v1/projects?limit=2&after="+after, ""), 200, &page)
		var names []string
		for _, p := range page.Items {
			names = append(names, p.Name+" "+p.Kind)
		}
		pages = append(pages, names)
		if after = page.Next; after == "" {
			break
		}
	}
	want := [][]string{{"alpha hosted", "bravo hosted"}, {"charlie hosted", "delta hosted"}, {"docker-hub cache"}}
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestTheLastPageThatIsFullIsTheLast(t *testing.T) {
	f := newFixture(t)
	f.cacheProject("docker-hub")
	var page ProjectList
	f.want(f.do(admin, "GET", "/api/v1/projects?limit=1", ""), 200, &page)
	if len(page.Items) != 1 || page.Next != "" {
		t.Errorf("page = %+v", page)
	}
}

func TestTheCreatorIsTheUserAndNotTheNameThatCameWithTheToken(t *testing.T) {
	f := newFixture(t)
	token := f.login()
	var made Project
	f.want(f.do(bearer(token.Token), "POST", "/api/v1/projects", `{"name":"demo"}`), 201, &made)
	if made.Creator != authn.UserAdmin {
		t.Errorf("creator = %q", made.Creator)
	}
}
