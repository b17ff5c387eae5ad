package api

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

// countedProjects counts how often the database is asked for projects.
type countedProjects struct {
	Projects
	asked int
}

func (c *countedProjects) List(ctx context.Context, after string, limit int) ([]metadata.Project, error) {
	c.asked++
	return c.Projects.List(ctx, after, limit)
}

func (c *countedProjects) Get(ctx context.Context, name string) (metadata.Project, error) {
	c.asked++
	return c.Projects.Get(ctx, name)
}

// manyProjects has thousands of projects, of which bob may administer some.
func manyProjects(t *testing.T, count int, bobs ...string) (f *fixture, bob as, projects *countedProjects) {
	t.Helper()
	f = newFixture(t)
	bob = f.bob()
	metadatatest.ManyProjects(t, f.file, count)
	for _, name := range bobs {
		_, err := f.roles.Grant(t.Context(), f.admin(), authz.Grant{Project: name, Role: authz.RoleAdmin, Subjects: []authz.Subject{authz.User("bob")}})
		if err != nil {
			t.Fatal(err)
		}
	}
	projects = &countedProjects{Projects: f.db.Projects}
	f.config.Projects = projects
	f.handler = New(f.config)
	return f, bob, projects
}

// pages reads a list to its end, and tells the names and the whole texts of its pages.
func (f *fixture) pages(who as, path string) (names, texts []string) {
	f.t.Helper()
	for after := ""; ; {
		var page struct {
			Items []struct{ Name, Project string }
			Next  string
		}
		w := f.do(who, "GET", path+"after="+url.QueryEscape(after), "")
		f.want(w, 200, nil)
		texts = append(texts, w.Body.String())
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			f.t.Fatal(err)
		}
		for _, item := range page.Items {
			names = append(names, item.Name+item.Project)
		}
		if page.Next == "" || len(texts) > 100 {
			return names, texts
		}
		after = page.Next
	}
}

func TestTenThousandProjectsAreListedWithFewQuestionsToTheDatabase(t *testing.T) {
	mine := []string{"p00007", "p05000", "p09999"}
	f, bob, projects := manyProjects(t, 10_000, mine...)
	for _, list := range []struct {
		who  as
		path string
		want int
	}{
		{bob, "/api/v1/projects?limit=1000&", len(mine)},
		{admin, "/api/v1/projects?limit=1000&", 10_000},
		{bob, "/api/v1/exposure?limit=1000&", 0},
		{admin, "/api/v1/exposure?limit=1000&", 0},
	} {
		projects.asked = 0
		names, pages := f.pages(list.who, list.path)
		if len(names) != list.want || !slices.IsSorted(names) {
			t.Errorf("%s lists %d projects, want %d", list.path, len(names), list.want)
		}
		if projects.asked != len(pages) || len(pages) > 11 {
			t.Errorf("%s has %d pages and asks the database %d times", list.path, len(pages), projects.asked)
		}
	}
}

func TestNoListTellsOfProjectsThatOneMayNotSee(t *testing.T) {
	f, bob, _ := manyProjects(t, 2500, "p01500")
	name, end := regexp.MustCompile("p0[0-2][0-9]{3}"), regexp.MustCompile(`"next":"[^"]*"`) // sealed, so that anything may be in it
	for _, path := range []string{"/api/v1/projects?limit=1&", "/api/v1/projects?limit=1000&", "/api/v1/exposure?limit=1&"} {
		names, pages := f.pages(bob, path)
		if strings.Contains(path, "/projects") && !slices.Equal(names, []string{"p01500"}) {
			t.Errorf("%s lists %q", path, names)
		}
		for _, page := range pages {
			if name.MatchString(end.ReplaceAllString(strings.ReplaceAll(page, "p01500", ""), "")) {
				t.Errorf("%s names another project: %s", path, page)
			}
		}
		if len(pages) > 4 {
			t.Errorf("%s has %d pages: it tells how many others there are", path, len(pages))
		}
	}
	f.wantProblem(f.do(bob, "GET", "/api/v1/projects?after=~forged", ""), 400, "begin the list anew")
}
