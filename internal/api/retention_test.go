package api

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	retentionPath = "/api/v1/projects/demo/retention"
	lastTwo       = `{"keepLast":2,"keepMatching":["v*"],"untaggedAfter":"168h"}`
)

func newRetentionFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.now = time.Now().UTC().Truncate(time.Microsecond)
	f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"demo"}`), 201, nil)
	return f
}

func TestRulesAreSetReadAndDeleted(t *testing.T) {
	f := newRetentionFixture(t)
	f.wantProblem(f.do(admin, "GET", retentionPath, ""), 404, "project demo has no rules and keeps everything", "larder set retention -n demo")
	f.wantProblem(f.do(admin, "DELETE", retentionPath, ""), 404, "keeps everything already")
	two := 2
	want := Retention{
		Project: "demo", UpdatedAt: f.now, Actor: "admin",
		Rules: gc.RulesDocument{KeepLast: &two, KeepMatching: []string{"v*"}, UntaggedAfter: "7d"},
	}
	var set, read Retention
	f.want(f.do(admin, "PUT", retentionPath, lastTwo), 200, &set)
	f.want(f.do(admin, "GET", retentionPath, ""), 200, &read)
	for _, got := range []Retention{set, read} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rules (-want +got):\n%s", diff)
		}
	}
	f.want(f.do(admin, "DELETE", retentionPath, ""), 204, nil)
	f.want(f.do(admin, "GET", retentionPath, ""), 404, nil)
}

func TestRulesThatCannotBeUsedAreRefusedWithWhatIsAllowed(t *testing.T) {
	f := newRetentionFixture(t)
	f.wantProblem(f.do(admin, "PUT", retentionPath, `{}`), 400, "there is no rule", "keepLast, keepPulledWithin, keepMatching and untaggedAfter")
	f.wantProblem(f.do(admin, "PUT", retentionPath, `{"untaggedAfter":"1h"}`), 400, "at least 24h")
	f.wantProblem(f.do(admin, "POST", retentionPath+"/preview", `{"keepMatching":["[v"]}`), 400, `"[v"`)
	f.wantProblem(f.do(admin, "PUT", retentionPath, `{"keepLast":0}`), 422, "see errors")
	f.wantProblem(f.do(admin, "PUT", retentionPath, `{"keepLats":1}`), 422, "see errors")
	f.want(f.do(admin, "GET", retentionPath, ""), 404, nil)
}

func TestRetentionIsHiddenFromThoseWhoMayNotSeeTheProject(t *testing.T) {
	f := newRetentionFixture(t)
	f.want(f.do(admin, "PUT", retentionPath, lastTwo), 200, nil)
	bob := f.bob()
	for _, r := range [][3]string{
		{"GET", retentionPath, ""}, {"PUT", retentionPath, lastTwo}, {"DELETE", retentionPath, ""},
		{"GET", retentionPath + "/preview", ""}, {"POST", retentionPath + "/preview", lastTwo},
	} {
		f.wantProblem(f.do(bob, r[0], r[1], r[2]), 404, `project "demo" does not exist, or you may not see it`)
	}
	f.wantProblem(f.do(admin, "PUT", "/api/v1/projects/nothing/retention", lastTwo), 404, `project "nothing" does not exist`)
	f.want(f.do(nobody, "GET", retentionPath, ""), 401, nil)
}

// pushTags pushes a manifest for each tag.
func (f *fixture) pushTags(repository string, tags ...string) {
	f.t.Helper()
	for _, tag := range tags {
		content := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[],"annotations":{"tag":%q}}`, tag)
		err := f.db.Manifests.Put(f.t.Context(), metadata.PutManifest{
			Repository: repository, Tags: []string{tag}, Actor: "admin",
			Manifest: metadata.Manifest{Manifest: oci.Manifest{MediaType: v1.MediaTypeImageIndex, Digest: digest.FromBytes(content), Content: content}},
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestAPreviewTellsWhatGoesAndWhyInPages(t *testing.T) {
	f := newRetentionFixture(t)
	f.pushTags("demo/app", "old", "v1", "new")
	f.pushTags("demo/web", "one")
	f.wantProblem(f.do(admin, "GET", retentionPath+"/preview", ""), 404, "has no rules")
	f.want(f.do(admin, "PUT", retentionPath, lastTwo), 200, nil)
	f.now = f.now.Add(9*24*time.Hour + time.Hour)
	f.pushTags("demo/app", "v1") // so that it is the last, by the clock of the database

	type line struct{ Repository, Tag, Verdict, Why string }
	want := []line{
		{"demo/app", "v1", "keep", "matches v*"},
		{"demo/app", "new", "keep", "one of the last 2 tags"},
		{"demo/app", "old", "delete", "no rule keeps it: set 9d ago, never pulled"},
		{"demo/web", "one", "keep", "one of the last 2 tags"},
	}
	var got []line
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		var page RetentionPreview
		f.want(f.do(admin, "GET", retentionPath+"/preview?limit=1&after="+url.QueryEscape(after), ""), 200, &page)
		for _, v := range page.Items {
			if v.Size <= 0 || digest.Digest(v.Digest).Validate() != nil {
				t.Errorf("%+v", v)
			}
			got = append(got, line{v.Repository, v.Tag, v.Verdict, v.Why})
		}
		after = page.Next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("preview (-want +got):\n%s", diff)
	}

	var other RetentionPreview
	f.want(f.do(admin, "POST", retentionPath+"/preview", `{"keepMatching":["n*"]}`), 200, &other)
	if len(other.Items) != 4 || other.Items[0].Verdict != "delete" || other.Next != "" {
		t.Errorf("by other rules: %+v", other)
	}
	if tags, err := f.db.Tags.List(t.Context(), "demo/app", "", 10); err != nil || len(tags) != 3 {
		t.Errorf("after the previews there are the tags %v, %v", tags, err)
	}
	for _, after := range []string{"other/app@0", "demo/app", "demo/app@-1", "demo/app@99999999999"} {
		f.wantProblem(f.do(admin, "GET", retentionPath+"/preview?after="+after, ""), 400, "it is the next of the page before")
	}
}
