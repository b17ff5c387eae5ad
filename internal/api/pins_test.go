package api

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnImageIsPinnedByTagOrDigest(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	d := f.push("demo/app", "1", "layer")
	const pins = "/api/v1/projects/demo/repositories/app/pins/"
	byTag := Pin{Project: "demo", Repository: "app", Tag: "1", Reason: "by hand", Actor: "admin", CreatedAt: f.now}
	byDigest := Pin{Project: "demo", Repository: "app", Digest: d.String(), Reason: "by hand", Actor: "admin", CreatedAt: f.now}
	for reference, want := range map[string]Pin{"1": byTag, d.String(): byDigest} {
		var got Pin
		f.want(f.do(admin, "PUT", pins+url.PathEscape(reference), ""), 200, &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pinned (-want +got):\n%s", diff)
		}
	}
	listed := func(who as, query string) []Pin {
		var all PinList
		f.want(f.do(who, "GET", "/api/v1/pins"+query, ""), 200, &all)
		return all.Items
	}
	for query, want := range map[string][]Pin{"": {byDigest, byTag}, "?project=demo": {byDigest, byTag}, "?project=other": {}} {
		if diff := cmp.Diff(want, listed(admin, query)); diff != "" {
			t.Errorf("listed with %q (-want +got):\n%s", query, diff)
		}
	}
	bob := f.bob()
	if got := listed(bob, ""); len(got) != 0 {
		t.Errorf("who may not see the project is shown %v", got)
	}
	f.wantProblem(f.do(bob, "PUT", pins+"1", ""), 404, "does not exist, or you may not see it")
	f.wantProblem(f.do(admin, "PUT", pins+"2", ""), 404, "demo/app:2 was not pinned: the registry does not have it")
	f.wantProblem(f.do(admin, "PUT", pins+"-", ""), 400, "tag")
	f.want(f.do(admin, "DELETE", pins+"1", ""), 204, nil)
	f.wantProblem(f.do(admin, "DELETE", pins+"1", ""), 404, "demo/app:1 is not pinned: larder get pins lists what is")
	if diff := cmp.Diff([]Pin{byDigest}, listed(admin, "")); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestWhoMayOnlyPullMayNotPin(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	f.push("demo/app", "1", "layer")
	bob := f.bob()
	f.give("bob get imagestreams demo/app", "bob get imagestreams/layers demo/app")
	f.wantProblem(f.do(bob, "PUT", "/api/v1/projects/demo/repositories/app/pins/1", ""), 403, "update imagestreams")
}
