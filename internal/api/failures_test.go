package api

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/failures"
	"github.com/larder-registry/larder/internal/metadata"
)

func TestAFailureIsExplainedToWhomItConcernsAndInFullToTheOperator(t *testing.T) {
	f := newFixture(t)
	f.cacheProject("docker-hub")
	log := failures.New(f.db.Failures, f.config.Now, f.config.Log)
	t.Cleanup(log.Close)
	f.config.Failures = log
	f.handler = New(f.config)
	noted := metadata.Failure{
		Repository: "docker-hub/library/nginx", Asked: "docker-hub/nginx", Kind: "manifest", Reference: "latest", User: "alice", Client: "192.0.2.7",
		Rule: "upstream", Code: "TOOMANYREQUESTS", Status: 429, Message: "no pulls are left",
		Credential: "acme", UpstreamKind: "pull limit", UpstreamStatus: 429, UpstreamText: "the pull limit of acme is used up",
	}
	id := log.Note(noted)
	noted.User, noted.Code, noted.Status, noted.Digest, noted.Age = "", "", 0, "sha256:1f", time.Minute
	f.now = f.now.Add(time.Second)
	stale := log.Note(noted)

	whole := Failure{
		ID: id, At: f.now.Add(-time.Second), LastAt: f.now.Add(-time.Second), Count: 1, Rule: "upstream",
		Asked:    FailureAsked{Name: "docker-hub/nginx", Kind: "manifest", Reference: "latest", User: "alice", Client: "192.0.2.7"},
		Upstream: FailureUpstream{Name: "docker-hub", Repository: "library/nginx", Credential: "acme", Kind: "pull limit", Status: 429, Said: "the pull limit of acme is used up"},
		Answer:   FailureAnswer{Status: 429, Code: "TOOMANYREQUESTS", Message: "no pulls are left"},
	}
	hers := whole
	hers.Asked.Client, hers.Upstream.Credential, hers.Upstream.Said = "", "", ""
	his := hers
	his.Asked.User = ""
	alice, bob := f.alice(), f.bob()
	for name, test := range map[string]struct {
		who  as
		want Failure
	}{"to the operator": {admin, whole}, "to whom it happened": {alice, hers}, "to whoever was given the id": {bob, his}} {
		var got Failure
		f.want(f.do(test.who, "GET", "/api/v1/failures/"+id, ""), 200, &got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	listed := func(who as, query string) (ids []string) {
		var all FailureList
		f.want(f.do(who, "GET", "/api/v1/failures"+query, ""), 200, &all)
		for _, one := range all.Items {
			ids = append(ids, one.ID)
		}
		return ids
	}
	for name, test := range map[string]struct {
		who   as
		query string
		want  []string
	}{
		"all to the operator": {admin, "", []string{stale, id}}, "the last one": {admin, "?limit=1", []string{stale}},
		"their own to others": {alice, "", []string{id}}, "none to whom none happened": {bob, "", nil},
	} {
		if diff := cmp.Diff(test.want, listed(test.who, test.query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAFailureOfWhatOneMayNotSeeIsLikeNone(t *testing.T) {
	f := newFixture(t)
	f.cacheProject("docker-hub")
	log := failures.New(f.db.Failures, f.config.Now, f.config.Log)
	t.Cleanup(log.Close)
	f.config.Failures = log
	f.handler = New(f.config)
	id := log.Note(metadata.Failure{Repository: "docker-hub/library/nginx", Asked: "docker-hub/nginx", Kind: "tags", User: "admin", Client: "192.0.2.7", Rule: "registry"})
	elsewhere := bearer(f.make(`{"name":"demo-only","targets":["demo"]}`).Token)
	hidden, unknown := f.do(elsewhere, "GET", "/api/v1/failures/"+id, ""), f.do(elsewhere, "GET", "/api/v1/failures/NONESUCH", "")
	f.wantProblem(hidden, 404, "there is no failure \""+id+"\"", "larder explain lists")
	f.wantProblem(unknown, 404, "there is no failure \"NONESUCH\"", "larder explain lists")
	var all FailureList
	f.want(f.do(elsewhere, "GET", "/api/v1/failures", ""), 200, &all)
	if len(all.Items) != 0 {
		t.Errorf("listed: %v", all.Items)
	}
}
