package api

import "testing"

func TestAStarIsForWhatOneMayPull(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	f.push("demo/app", "1", "layer")
	f.push("demo/secret", "1", "layer")
	bob := f.bob()
	f.give("bob get imagestreams/layers demo/app")
	const repositories = "/api/v1/projects/demo/repositories/"
	f.wantProblem(f.do(bob, "PUT", repositories+"secret/star", ""), 404)
	f.wantProblem(f.do(bob, "PUT", repositories+"none/star", ""), 404)
	f.wantProblem(f.do(bob, "PUT", "/api/v1/projects/none/repositories/app/star", ""), 404)
	f.wantProblem(f.do(nobody, "PUT", repositories+"app/star", ""), 401)
	f.want(f.do(bob, "PUT", repositories+"app/star", ""), 204, nil)
	f.want(f.do(admin, "PUT", repositories+"app/star", ""), 204, nil)

	var shown Repository
	f.want(f.do(admin, "GET", repositories+"app", ""), 200, &shown)
	var mine RepositoryList
	f.want(f.do(bob, "GET", "/api/v1/stars", ""), 200, &mine)
	if shown.Stars != 2 || len(mine.Items) != 1 || mine.Items[0].Name != "app" || mine.Items[0].Project != "demo" {
		t.Errorf("%d stars, mine are %+v", shown.Stars, mine.Items)
	}

	f.config.Authorizer = f.roles
	f.give() // what bob may no longer pull he is no longer shown
	f.want(f.do(bob, "GET", "/api/v1/stars", ""), 200, &mine)
	if len(mine.Items) > 0 {
		t.Errorf("bob is shown %+v", mine.Items)
	}
	f.want(f.do(admin, "DELETE", repositories+"app/star", ""), 204, nil)
	f.want(f.do(admin, "GET", repositories+"app", ""), 200, &shown)
	if shown.Stars != 1 {
		t.Errorf("%d stars are left", shown.Stars)
	}
}
