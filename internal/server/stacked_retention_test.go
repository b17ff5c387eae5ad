package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
)

// rule gives a project rules.
func (s *stack) rule(project, rules string) {
	s.t.Helper()
	s.push(http.MethodPut, "/api/v1/projects/"+project+"/retention", "application/json", []byte(rules))
}

// daysLater restarts Larder as if so many days had gone by, and keeps to the rules.
func (s *stack) daysLater(days int) {
	s.t.Helper()
	s.clock.Pass(time.Duration(days) * 24 * time.Hour)
	s.retention = time.Millisecond
	s.restart()
}

func TestTheRunningServerKeepsToTheRulesOfAHostedProject(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	old, kept := []byte(`{"schemaVersion":2,"manifests":[]}`), []byte(`{"schemaVersion":2,"manifests":[] }`)
	s.push(http.MethodPut, "/v2/demo/app/manifests/old", v1.MediaTypeImageIndex, old)
	s.push(http.MethodPut, "/v2/demo/app/manifests/v1", v1.MediaTypeImageIndex, kept)
	byDigest := digest.FromBytes(old).String()
	s.rule("demo", `{"keepMatching":["v*"],"untaggedAfter":"7d"}`)
	get := func(reference string) int {
		return s.send(request{path: "/v2/demo/app/manifests/" + reference, admin: true}).status
	}
	s.daysLater(2)
	s.eventually("the tag goes", func() bool { return strings.Contains(s.log.String(), "tags_deleted=1 manifests_deleted=0") })
	if get("old") != 404 || get("v1") != 200 || get(byDigest) != 200 { // which is a pull of the old one
		t.Fatal("what should stay went, or the other way round")
	}
	s.daysLater(6)
	s.eventually("the run has ended", func() bool { return strings.Contains(s.log.String(), "tags_deleted=0 manifests_deleted=0") })
	if get(byDigest) != 200 { // again
		t.Error("a manifest that was pulled six days ago is gone")
	}
	s.daysLater(8)
	s.eventually("the manifest goes", func() bool { return strings.Contains(s.log.String(), "manifests_deleted=1") })
	if get(byDigest) != 404 || get("v1") != 200 {
		t.Error("what should stay went, or the other way round")
	}
}

func TestTheRunningServerKeepsToTheRulesOfACacheProject(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	other := s.hub.AddImage("library/nginx", "1.27", small(2))
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	s.get(nginx+"manifests/1.27").wants(t, 200, "larder; fwd=miss; stored").is(t, other.Digest)
	s.rule("docker-hub", `{"keepMatching":["latest"],"untaggedAfter":"7d"}`)
	s.daysLater(2)
	s.eventually("the tag goes", func() bool { return strings.Contains(s.log.String(), "tags_deleted=1") })
	s.hub.ResetRequests()
	s.get(nginx+"manifests/1.27").is(t, other.Digest)
	if len(s.hub.Requests()) == 0 {
		t.Error("a tag that was retired is served without asking the Hub")
	}
}
