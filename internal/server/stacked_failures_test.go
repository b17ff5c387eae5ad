package server_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
)

// explains ends each text about something that can be looked up, without its id.
const explains = ". To see what happened: larder explain ID"

var explainLine = regexp.MustCompile(`larder explain ([0-9A-Z]{8})\b`)

func withoutIDs(text string) string { return explainLine.ReplaceAllString(text, "larder explain ID") }

// id is that of the failure which the answer tells of, in its text or its warning.
func (a answer) id(t *testing.T) string {
	t.Helper()
	warned := explainLine.FindStringSubmatch(a.header.Get("Warning"))
	if len(warned) == 0 || !strings.HasPrefix(a.header.Get("Warning"), "299 - ") {
		t.Fatalf("status %d: there is no id in the warning %q", a.status, a.header.Get("Warning"))
	}
	if a.status >= 400 && len(a.body) > 0 && !strings.Contains(string(a.body), warned[0]) {
		t.Fatalf("the warning has %s, but not the text %s", warned[1], a.body)
	}
	return warned[1]
}

// explain looks a failure up as the administrator.
func (s *stack) explain(id string) api.Failure {
	s.t.Helper()
	got := s.send(request{path: "/api/v1/failures/" + id, admin: true})
	var f api.Failure
	if err := json.Unmarshal(got.body, &f); err != nil || got.status != 200 {
		s.t.Fatalf("%s: %d %s", id, got.status, got.body)
	}
	return f
}

func TestEachRefusedPullCanBeExplained(t *testing.T) {
	for _, test := range []struct {
		name, config string
		options      hubsim.Options
		arrange      func(s *stack)
		path         string
		mirror       bool
		want         api.Failure
	}{
		{
			name: "what the operator does not let through", config: "upstreams: [{name: docker-hub, deny: [\"library/*\"]}]\n", path: "nginx/manifests/latest",
			want: api.Failure{
				Asked: api.FailureAsked{Name: "docker-hub/nginx", Kind: "manifest", Reference: "latest"}, Rule: "allow-deny",
				Answer: api.FailureAnswer{Status: 403, Code: "DENIED"},
			},
		},
		{
			name: "what the Hub does not have", path: "library/nonesuch/manifests/latest",
			want: api.Failure{
				Asked: api.FailureAsked{Name: "docker-hub/library/nonesuch", Kind: "manifest", Reference: "latest"}, Rule: "upstream",
				Upstream: api.FailureUpstream{Repository: "library/nonesuch", Credential: "anonymous", Kind: "denied", Status: 401},
				Answer:   api.FailureAnswer{Status: 404, Code: "MANIFEST_UNKNOWN"},
			},
		},
		{
			name: "what the Hub has just said that it does not have", path: "library/nonesuch/manifests/latest",
			arrange: func(s *stack) { s.get("/v2/docker-hub/library/nonesuch/manifests/latest") },
			want: api.Failure{
				Asked: api.FailureAsked{Name: "docker-hub/library/nonesuch", Kind: "manifest", Reference: "latest"}, Rule: "remembered",
				Upstream: api.FailureUpstream{Repository: "library/nonesuch", Credential: "anonymous", Kind: "denied", Status: 401},
				Answer:   api.FailureAnswer{Status: 404, Code: "MANIFEST_UNKNOWN"},
			},
		},
		{
			name: "the Hub's pull limit", path: "library/nginx/manifests/latest",
			arrange: func(s *stack) {
				s.hub.Break(hubsim.Fault{Kind: hubsim.PullLimit429, Method: http.MethodGet, Path: hubsim.ManifestPath})
			},
			want: api.Failure{
				Asked: api.FailureAsked{Name: "docker-hub/library/nginx", Kind: "manifest", Reference: "latest"}, Rule: "upstream",
				Upstream: api.FailureUpstream{Credential: "anonymous", Kind: "pull limit", Status: 429},
				Answer:   api.FailureAnswer{Status: 429, Code: "TOOMANYREQUESTS"},
			},
		},
		{
			name: "a Hub that is gone", path: "library/nginx/tags/list",
			arrange: func(s *stack) { s.hub.Break(hubsim.Fault{Kind: hubsim.Down}) },
			want: api.Failure{
				Asked: api.FailureAsked{Name: "docker-hub/library/nginx", Kind: "tags"}, Rule: "upstream",
				Upstream: api.FailureUpstream{Kind: "unavailable"},
				Answer:   api.FailureAnswer{Status: 503, Code: "UPSTREAM_UNAVAILABLE"},
			},
		},
		{
			name: "the registry's own limit", config: "pullLimits: {anonymous: 1/6h}\n", path: "library/nginx/manifests/latest",
			arrange: func(s *stack) { s.get(nginx + "manifests/latest") },
			want: api.Failure{
				Asked: api.FailureAsked{Name: "docker-hub/library/nginx", Kind: "manifest", Reference: "latest"}, Rule: "pull-limit",
				Answer: api.FailureAnswer{Status: 429, Code: "TOOMANYREQUESTS"},
			},
		},
		{
			name: "what strangers may not see, on the mirror listener", config: withCredential(t, "acme", "acme-secret"),
			options: hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, path: "/v2/acme/app/manifests/1", mirror: true,
			arrange: func(s *stack) {
				s.hub.AddImage("acme/app", "1", small(7))
				s.hub.SetPrivate("acme/app", true)
			},
			want: api.Failure{
				Asked: api.FailureAsked{Name: "docker.io/acme/app", Kind: "manifest", Reference: "1"}, Rule: "visibility",
				Upstream: api.FailureUpstream{Repository: "acme/app"},
				Answer:   api.FailureAnswer{Status: 404, Code: "MANIFEST_UNKNOWN"},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStack(t, test.options, test.config)
			s.hub.AddImage("library/nginx", "latest", small(1))
			if test.arrange != nil {
				test.arrange(s)
			}
			asked := request{path: test.path, mirror: test.mirror}
			if !test.mirror {
				asked.path = "/v2/docker-hub/" + test.path
			}
			refused := s.send(asked)
			if refused.status != test.want.Answer.Status {
				t.Fatalf("got %d: %s", refused.status, refused.body)
			}
			test.want.ID, test.want.Count = refused.id(t), 1
			test.want.Asked.User, test.want.Asked.Client, test.want.Upstream.Name = "system:anonymous", "127.0.0.1", "docker-hub"
			if test.want.Upstream.Repository == "" {
				test.want.Upstream.Repository = "library/nginx"
			}
			got := s.explain(test.want.ID)
			if (got.Upstream.Said == "") != (got.Upstream.Kind == "") || !strings.Contains(string(refused.body), got.Answer.Message) {
				t.Errorf("the upstream said %q, and the message is %q", got.Upstream.Said, got.Answer.Message)
			}
			texts := cmpopts.IgnoreFields(api.Failure{}, "At", "LastAt", "Upstream.Said", "Answer.Message")
			if diff := cmp.Diff(test.want, got, texts); diff != "" {
				t.Errorf("explained (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAStaleCopyCanBeExplained(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.get(nginx + "manifests/latest")
	s.clock.Pass(2 * time.Minute)
	s.hub.Break(hubsim.Fault{Kind: hubsim.PullLimit429})
	first := s.get(nginx+"manifests/latest").is(t, image.Digest)
	for range 3 {
		s.clock.Pass(2 * time.Minute)
		if got := s.head(nginx + "manifests/latest"); got.id(t) != first.id(t) {
			t.Errorf("what went on is another failure, %s", got.id(t))
		}
	}
	got := s.explain(first.id(t))
	want := api.Failure{
		ID: first.id(t), Count: 4, Rule: "upstream",
		Asked:    api.FailureAsked{Name: "docker-hub/library/nginx", Kind: "manifest", Reference: "latest", User: "system:anonymous", Client: "127.0.0.1"},
		Upstream: api.FailureUpstream{Name: "docker-hub", Repository: "library/nginx", Credential: "anonymous", Kind: "pull limit", Status: 429},
		Answer:   api.FailureAnswer{Digest: image.Digest.String(), AgeSeconds: 480},
	}
	texts := cmpopts.IgnoreFields(api.Failure{}, "At", "LastAt", "Upstream.Said", "Answer.Message")
	if diff := cmp.Diff(want, got, texts); diff != "" {
		t.Errorf("explained (-want +got):\n%s", diff)
	}
	if got.LastAt.Sub(got.At) != 6*time.Minute || !strings.HasPrefix(got.Answer.Message, "stale copy, last known to be current 8m0s ago: Docker Hub") {
		t.Errorf("from %s to %s: %s", got.At, got.LastAt, got.Answer.Message)
	}
}

func TestFreshAnswersAndWrongRequestsHaveNothingToExplain(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.hub.AddImage("library/nginx", "latest", small(1))
	for _, r := range []request{
		{path: nginx + "manifests/latest"}, {path: nginx + "manifests/latest"},
		{path: nginx + "tags/list?n=x"}, {path: nginx + "manifests/latest", header: map[string]string{"Range": "bytes=9999999-"}},
		{path: nginx + "manifests/latest", method: http.MethodPut, admin: true},
		{path: "/v2/nowhere/app/manifests/latest", admin: true},
	} {
		if got := s.send(r); got.header.Get("Warning") != "" || strings.Contains(string(got.body), "larder explain") {
			t.Errorf("%s %s: %d %q %s", r.method, r.path, got.status, got.header.Get("Warning"), got.body)
		}
	}
	got := s.send(request{path: "/api/v1/failures", admin: true})
	if got.status != 200 || !strings.Contains(string(got.body), `"items":[]`) {
		t.Errorf("kept: %d %s", got.status, got.body)
	}
}

func TestWhatFailedAtOneServerIsExplainedByAnotherOnTheSameDatabase(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	one, other := newStack(t, hubsim.Options{AnonymousLimit: 1}, ""), newStack(t, hubsim.Options{}, "")
	for _, s := range []*stack{one, other} {
		s.stop()
		s.env["LARDER_DATABASE"], s.data = database, t.TempDir()
		s.start()
	}
	one.hub.AddImage("library/first", "1", small(1))
	one.hub.AddImage("library/nginx", "latest", small(2))
	one.get("/v2/docker-hub/library/first/manifests/1").wants(t, 200, "larder; fwd=miss; stored")
	refused := one.get(nginx + "manifests/latest")
	if refused.status != 429 {
		t.Fatalf("without a pull left it was answered %d", refused.status)
	}
	id := refused.id(t)
	other.eventually("the other server has heard of it", func() bool {
		return other.send(request{path: "/api/v1/failures/" + id, admin: true}).status == 200
	})
	theirs := other.explain(id)
	if diff := cmp.Diff(one.explain(id), theirs); diff != "" {
		t.Errorf("the two explain it differently (-one +other):\n%s", diff)
	}
	if theirs.Rule != "upstream" || theirs.Upstream.Kind != "pull limit" || theirs.Answer.Status != 429 {
		t.Errorf("explained: %+v", theirs)
	}

	one.clock.Pass(7 * time.Hour)
	one.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; stored")
	one.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	one.clock.Pass(2 * time.Minute)
	stale := one.get(nginx + "manifests/latest")
	id = stale.id(t)
	other.eventually("the other server has heard of the stale copy", func() bool {
		return other.send(request{path: "/api/v1/failures/" + id, admin: true}).status == 200
	})
	if got := other.explain(id); !strings.HasPrefix(got.Answer.Message, "stale copy") || got.Answer.Digest == "" {
		t.Errorf("the stale copy is explained: %+v", got)
	}
}
